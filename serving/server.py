"""A development server for exported models, and the command `serving.local`.

It implements the parts of TensorFlow Serving's API that clients of an export need: Predict over
gRPC, and predict and status over REST.
"""

import contextlib
import json
import math
import pathlib
import socket
import tempfile
import threading
from concurrent import futures

import grpc
import numpy as np
import tensorflow as tf
import werkzeug
from absl import flags
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc
from werkzeug.serving import make_server

from serving.saved_model import BUNDLED, existing_versions, export_saved_model
from trainers.errors import UserError
from trainers.training.factory import load_model

FLAGS = flags.FLAGS
_HOST = "127.0.0.1"
_THREADS = 8
_MAX_REQUEST_BYTES = 16 * 2**20
_GRPC_CODES = {code.value[0]: code for code in grpc.StatusCode}


def main():
    """Runs `serving.local`."""
    ports = FLAGS.port, FLAGS.rest_api_port
    if FLAGS.model_path is not None:
        server = Server(FLAGS.model_path, *ports)
    else:
        model, vocabulary, _ = load_model(dtype="float32")
        with tempfile.TemporaryDirectory() as folder:
            path = export_saved_model(model, vocabulary, folder, BUNDLED)
            server = Server(path, *ports)
    with server, contextlib.suppress(KeyboardInterrupt):
        print(f"model {server.name}, version {server.version}; for development only")
        print(f"gRPC: {server.grpc_address}\nREST: {server.rest_url}", flush=True)
        server.wait()


class Server(prediction_service_pb2_grpc.PredictionServiceServicer):
    """A context manager that serves one version of a model on 127.0.0.1.

    Args:
        model_path: The folder of a version, or of a model, whose highest version is then served.
        grpc_port: gRPC port. Defaults to 0, any free port.
        rest_port: REST port. Defaults to 0, any free port.

    Raises:
        UserError: If the folder does not contain a model, or a port is in use.
    """

    def __init__(self, model_path, grpc_port=0, rest_port=0):
        path = _version_folder(pathlib.Path(model_path).resolve())
        if not path.name.isdecimal():
            raise UserError(
                f"The folder of a version must be named by its number. Received: {path}"
            )
        self.name, self.version = path.parent.name, int(path.name)
        self._model = tf.saved_model.load(str(path))
        options = [
            ("grpc.max_receive_message_length", _MAX_REQUEST_BYTES),
            ("grpc.max_send_message_length", -1),
            ("grpc.so_reuseport", 0),  # otherwise two servers can share a port
        ]
        self._grpc = grpc.server(futures.ThreadPoolExecutor(_THREADS), options=options)
        prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(self, self._grpc)
        try:
            grpc_port = self._grpc.add_insecure_port(f"{_HOST}:{grpc_port}")
        except RuntimeError:
            raise UserError(f"gRPC cannot listen on {_HOST}:{grpc_port}.") from None
        self.grpc_address = f"{_HOST}:{grpc_port}"
        try:
            listener = socket.create_server((_HOST, rest_port))
        except OSError:
            raise UserError(f"REST cannot listen on {_HOST}:{rest_port}.") from None
        with listener:  # the server duplicates it
            fd = listener.fileno()
            self._rest = make_server(_HOST, rest_port, self._answer, threaded=True, fd=fd)
        self.rest_url = f"http://{_HOST}:{self._rest.port}/v1/models/{self.name}"

    def __enter__(self):
        self._grpc.start()
        threading.Thread(target=self._rest.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self._rest.shutdown()
        self._rest.server_close()
        self._grpc.stop(grace=1).wait()

    def wait(self):
        """Blocks until the server stops."""
        self._grpc.wait_for_termination()

    def Predict(self, request, context):  # noqa: N802 (named by the protocol)
        """Answers a gRPC request."""
        spec = request.model_spec
        try:
            if spec.name != self.name or spec.version.value not in (0, self.version):
                raise _not_found(f"This server has only version {self.version} of {self.name}.")
            outputs = _call(self._signature(spec.signature_name), request.inputs, _parse)
        except tf.errors.OpError as error:
            context.abort(_GRPC_CODES[error.error_code], _message(error))
        tensors = {key: tf.make_tensor_proto(value) for key, value in outputs.items()}
        return predict_pb2.PredictResponse(model_spec=spec, outputs=tensors)

    @werkzeug.Request.application
    def _answer(self, request):
        """Answers a REST request."""
        request.max_content_length = _MAX_REQUEST_BYTES
        try:
            code, content = 200, self._answer_json(request)
        except tf.errors.OpError as error:
            code = 404 if isinstance(error, tf.errors.NotFoundError) else 400
            content = {"error": _message(error)}
        return werkzeug.Response(json.dumps(content), code, content_type="application/json")

    def _answer_json(self, request):
        path = f"/v1/models/{self.name}"
        if (request.method, request.path) == ("GET", path):
            return {"model_version_status": [{"version": str(self.version), "state": "AVAILABLE"}]}
        if (request.method, request.path) != ("POST", f"{path}:predict"):
            raise _not_found(f"{request.method} {request.path} is not supported.")
        try:
            body = json.loads(request.get_data())
            signature = self._signature(body.get("signature_name"))
            by_row = "instances" in body
            inputs = _columns(body["instances"]) if by_row else body["inputs"]
            if not isinstance(inputs, dict):
                (name,) = signature.structured_input_signature[1]  # one input needs no name
                inputs = {name: inputs}
        except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
            raise _invalid(f"Expected a JSON object with inputs or instances: {error!r}") from None
        return _to_json(_call(signature, inputs, tf.constant), by_row)

    def _signature(self, name):
        signature = self._model.signatures.get(name or "serving_default")
        if signature is None:
            raise _not_found(f"There is no signature {name!r}.")
        return signature


def _call(signature, inputs, to_tensor):
    """Calls a signature with a dictionary of inputs, converted by `to_tensor(value, dtype)`."""
    specs = signature.structured_input_signature[1]
    if set(inputs) != set(specs):
        raise _invalid(f"Expected the inputs {sorted(specs)}. Received: {sorted(inputs)}")
    try:
        tensors = {name: to_tensor(inputs[name], spec.dtype) for name, spec in specs.items()}
    except (TypeError, ValueError, OverflowError) as error:
        raise _invalid(f"An input has the wrong type or shape: {error}") from None
    return {name: value.numpy() for name, value in signature(**tensors).items()}


def _parse(tensor, dtype):
    # A small message can describe a huge tensor, because its last value is repeated.
    shape = [abs(dim.size) for dim in tensor.tensor_shape.dim]
    if math.prod(shape) > _MAX_REQUEST_BYTES:
        raise _invalid(f"A tensor of shape {shape} is too large.")
    return tf.io.parse_tensor(tensor.SerializeToString(), dtype)


def _columns(rows):
    """Converts `[{name: value}]` to `{name: [value]}`; returns rows of unnamed values unchanged."""
    if not isinstance(rows[0], dict):
        return rows
    return {name: [row[name] for row in rows] for name in rows[0]}


def _to_json(outputs, by_row):
    columns = {}
    for name, value in outputs.items():
        if value.dtype == object:
            value = np.vectorize(bytes.decode, otypes=[object])(value)
        columns[name] = value.tolist()
    if len(columns) == 1:
        (columns,) = columns.values()
    elif by_row:
        columns = [dict(zip(columns, row)) for row in zip(*columns.values())]
    return {"predictions" if by_row else "outputs": columns}


def _version_folder(path):
    if (path / "saved_model.pb").is_file():
        return path
    versions = existing_versions(path)
    if not versions:
        raise UserError(f"There is no exported model in {path}. Create one with serving.export.")
    return path / str(versions[-1])


def _message(error):
    # Strip TensorFlow's description of the node.
    return error.message.split("<stack traces unavailable>")[-1].split("[[{{node")[0].strip()


def _invalid(message):
    return tf.errors.InvalidArgumentError(None, None, message)


def _not_found(message):
    return tf.errors.NotFoundError(None, None, message)
