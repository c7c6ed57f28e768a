"""gRPC and REST over one `Servable`, with limits on sizes, numbers and time."""

import concurrent.futures
import contextlib
import logging
import socket
import traceback

import grpc
import waitress
from tensorflow_serving.apis import model_service_pb2_grpc, prediction_service_pb2_grpc

from serving import answers
from serving.rest import make_application
from serving.status import StatusError

_SECONDS_TO_FINISH = 5
# What waitress counts among its connections: the socket that listens, and one that wakes it.
_OWN_CHANNELS = 2


class Server:
    """A server that listens from its construction on, and answers once it runs.

    Args:
        servable: `Servable`.
        host: address to listen on.
        grpc_port: 0 for any free one.
        rest_port: 0 for any free one.
        threads: requests that each interface works on at once.
        max_requests: requests (gRPC) and connections (REST) accepted at once. A gRPC request
            beyond gets RESOURCE_EXHAUSTED, a REST connection waits.
        max_request_bytes: size of the largest request, and of the largest input it may stand for.
            A larger request gets RESOURCE_EXHAUSTED, by REST the HTTP code 413; a larger input
            INVALID_ARGUMENT.
        timeout: seconds after which a request is given up with DEADLINE_EXCEEDED.

    Raises:
        OSError: if a port is in use, or the address is none of this machine's.
    """

    def __init__(
        self,
        servable,
        host="127.0.0.1",
        grpc_port=8500,
        rest_port=8501,
        threads=8,
        max_requests=128,
        max_request_bytes=16 * 2**20,
        timeout=30.0,
    ):
        address = _address_of(host, grpc_port)
        _check_free(address, grpc_port)
        # Waitress tells at length of a queue in which requests wait, which is what it is for.
        logging.getLogger("waitress").setLevel(logging.ERROR)
        # gRPC shows a traceback for bytes that are no message; who sent them gets INTERNAL.
        logging.getLogger("grpc").setLevel(logging.CRITICAL)
        try:
            self._http = waitress.create_server(
                make_application(servable, timeout),
                host=address,
                port=rest_port,
                threads=threads,
                connection_limit=max_requests + _OWN_CHANNELS,
                max_request_body_size=max_request_bytes,
                ident="serving.local",
            )
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise OSError(f"REST cannot listen on {host}:{rest_port}: {reason}") from None
        self._grpc = grpc.server(
            concurrent.futures.ThreadPoolExecutor(threads),
            maximum_concurrent_rpcs=max_requests,
            options=[
                ("grpc.so_reuseport", 0),  # or two servers would share a port, each its requests
                ("grpc.max_receive_message_length", max_request_bytes),
                ("grpc.max_send_message_length", -1),
            ],
        )
        prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(
            _PredictionService(servable, max_request_bytes, timeout), self._grpc
        )
        model_service_pb2_grpc.add_ModelServiceServicer_to_server(
            _ModelService(servable), self._grpc
        )
        try:
            grpc_port = self._grpc.add_insecure_port(f"{_in_url(address)}:{grpc_port}")
        except RuntimeError:
            self._http.close()
            raise OSError(f"gRPC cannot listen on {host}:{grpc_port}: is it in use?") from None
        self.grpc_address = f"{_in_url(address)}:{grpc_port}"
        self.rest_address = f"http://{_in_url(address)}:{self._http.effective_port}"

    def run(self):
        """Answers requests until Ctrl-C."""
        self._grpc.start()
        self._http.run()

    def stop(self):
        """Ends: gRPC requests that are being worked on have 5 seconds to finish."""
        self._http.close()
        self._grpc.stop(_SECONDS_TO_FINISH).wait()


def _address_of(host, port):
    """One address of a name that may have several, IPv4 first: both interfaces listen there."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:  # a name may be none that can be asked for
        reason = getattr(error, "strerror", None) or error
        raise OSError(f"gRPC cannot listen on {host}:{port}: {reason}") from None
    return min(found, key=lambda info: info[0] != socket.AF_INET)[4][0]


def _check_free(host, port):
    """Raises an OSError that says what is wrong; gRPC logs pages and says that it failed."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.create_server((host, port), family=family).close()
    except OSError as error:
        raise OSError(f"gRPC cannot listen on {host}:{port}: {error.strerror}") from None


def _in_url(host):
    return f"[{host}]" if ":" in host else host


class _PredictionService(prediction_service_pb2_grpc.PredictionServiceServicer):
    def __init__(self, servable, max_bytes, timeout):
        self._servable = servable
        self._max_bytes = max_bytes
        self._timeout = timeout

    def Predict(self, request, context):  # noqa: N802 (the protocol's names)
        with _aborting(context):
            remaining = context.time_remaining()
            timeout = self._timeout if remaining is None else min(self._timeout, remaining)
            return answers.predict(self._servable, request, self._max_bytes, timeout)

    def GetModelMetadata(self, request, context):  # noqa: N802
        with _aborting(context):
            return answers.model_metadata(self._servable, request)


class _ModelService(model_service_pb2_grpc.ModelServiceServicer):
    def __init__(self, servable):
        self._servable = servable

    def GetModelStatus(self, request, context):  # noqa: N802
        with _aborting(context):
            return answers.model_status(self._servable, request)


@contextlib.contextmanager
def _aborting(context):
    """Turns a `StatusError` into the status of a call."""
    status = None
    try:
        yield
    except StatusError as error:
        status = error
    except Exception as error:
        traceback.print_exc()
        status = StatusError("INTERNAL", f"{type(error).__name__} in the server")
    if status:
        context.abort(grpc.StatusCode[status.code], status.message)
