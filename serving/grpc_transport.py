"""Requests to TF-Serving by gRPC. Importing this imports TensorFlow, which its messages need."""

import pathlib

import grpc
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from serving.status import START_A_SERVER, StatusError

_OPTIONS = [
    # TF-Serving takes and gives messages of up to 2 GB; gRPC's own limit is 4 MB.
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    # A channel that lost its server looks for it as often as its calls are tried again.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2000),
]


class GrpcTransport:
    """Speaks gRPC with a server.

    Args:
        address: `host:port`.
        spec: dictionary with the model's `name`, and its `version` or `label`, or neither.
        tls: whether the connection is encrypted.
        certificate: None, or a file of certificates to trust, in PEM; without it gRPC's own.
    """

    def __init__(self, address, spec, tls=False, certificate=None):
        self._spec = spec
        if tls:
            trusted = pathlib.Path(certificate).read_bytes() if certificate else None
            credentials = grpc.ssl_channel_credentials(trusted)
            self._channel = grpc.secure_channel(address, credentials, _OPTIONS)
        else:
            self._channel = grpc.insecure_channel(address, _OPTIONS)
        self._prediction = prediction_service_pb2_grpc.PredictionServiceStub(self._channel)
        self._model = model_service_pb2_grpc.ModelServiceStub(self._channel)

    def close(self):
        self._channel.close()

    def predict(self, signature, inputs, timeout):
        """Asks a signature.

        Args:
            signature: its name.
            inputs: dictionary of name to array; strings are arrays of `bytes` objects.
            timeout: seconds.

        Returns:
            dictionary of output name to array.

        Raises:
            StatusError: if it is not answered.
        """
        request = self._with_spec(predict_pb2.PredictRequest())
        request.model_spec.signature_name = signature
        for name, array in inputs.items():
            request.inputs[name].CopyFrom(tf.make_tensor_proto(array, shape=array.shape))
        response = _call(self._prediction.Predict, request, timeout)
        return {name: tf.make_ndarray(tensor) for name, tensor in response.outputs.items()}

    def metadata(self, timeout):
        """The model's signatures.

        Args:
            timeout: seconds.

        Returns:
            dictionary of signature name to `{"inputs": {name: (dtype, shape)}, "outputs": ...}`,
            the dtype a NumPy dtype, the shape a tuple with None for any length.
        """
        request = self._with_spec(get_model_metadata_pb2.GetModelMetadataRequest())
        request.metadata_field.append("signature_def")
        response = _call(self._prediction.GetModelMetadata, request, timeout)
        signatures = get_model_metadata_pb2.SignatureDefMap()
        response.metadata["signature_def"].Unpack(signatures)
        return {
            name: {"inputs": _infos(signature.inputs), "outputs": _infos(signature.outputs)}
            for name, signature in signatures.signature_def.items()
            if signature.inputs
        }

    def status(self, timeout):
        """The model's versions.

        Args:
            timeout: seconds.

        Returns:
            dictionary of version to its state, such as `{1: "AVAILABLE"}`.
        """
        request = self._with_spec(get_model_status_pb2.GetModelStatusRequest())
        response = _call(self._model.GetModelStatus, request, timeout)
        name_of = get_model_status_pb2.ModelVersionStatus.State.Name
        return {v.version: name_of(v.state) for v in response.model_version_status}

    def _with_spec(self, request):
        request.model_spec.name = self._spec["name"]
        if self._spec.get("version") is not None:
            request.model_spec.version.value = self._spec["version"]
        if self._spec.get("label") is not None:
            request.model_spec.version_label = self._spec["label"]
        return request


def _call(method, request, timeout):
    try:
        return method(request, timeout=timeout)
    except grpc.RpcError as error:
        raise StatusError(error.code().name, _why(error.details() or "no details")) from None


def _why(details):
    """What gRPC says, and where nobody listens what to do."""
    if details.startswith("failed to connect"):
        return f"no server answers ({details.rpartition('last error: ')[2]}). {START_A_SERVER}"
    return details


def _infos(infos):
    return {
        name: (
            np.dtype(tf.as_dtype(info.dtype).as_numpy_dtype),
            tuple(None if dim.size < 0 else dim.size for dim in info.tensor_shape.dim),
        )
        for name, info in infos.items()
    }
