"""Servers that fail, are slow or answer what they are told, in this process."""

import concurrent.futures
import contextlib
import http.server
import json
import threading
import time

import grpc
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

LOADING = {"model_version_status": [{"version": "3", "state": "LOADING"}]}
STATUS = (200, json.dumps(LOADING).encode())


class Flaky(prediction_service_pb2_grpc.PredictionServiceServicer):
    """Unavailable so many times; then it answers with the number of the request."""

    def __init__(self, code, times):
        self.code, self.times, self.count = code, times, 0

    def Predict(self, request, context):  # noqa: N802
        self.count += 1
        if self.count <= self.times:
            context.abort(grpc.StatusCode[self.code], "come back later")
        response = predict_pb2.PredictResponse()
        columns = request.inputs["token_ids"].tensor_shape.dim[1].size
        values = np.full((1, columns), self.count, np.float32)
        response.outputs["log_probabilities"].CopyFrom(tf.make_tensor_proto(values))
        return response


@contextlib.contextmanager
def grpc_server(servicer, credentials=None):
    options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(2), options=options)
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(servicer, server)
    port = (
        server.add_secure_port("127.0.0.1:0", credentials)
        if credentials
        else server.add_insecure_port("127.0.0.1:0")
    )
    server.start()
    try:
        yield f"localhost:{port}" if credentials else f"127.0.0.1:{port}"
    finally:
        server.stop(0)


@contextlib.contextmanager
def http_server(answers, context=None):
    """Gives a list of (code, body) one after another, the last one for ever; None hangs up."""
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):  # noqa: N802
            self.rfile.read(int(self.headers["Content-Length"]))
            self.answer()

        def do_GET(self):  # noqa: N802
            self.answer()

        def answer(self):
            asked.append(self.path)
            answer = answers[min(len(asked), len(answers)) - 1]
            if answer is None:
                self.close_connection = True
                return
            code, body = answer
            self.send_response(code)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if context:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"{'https' if context else 'http'}://localhost:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextlib.contextmanager
def slow_server(pause, body):
    """Answers each request byte by byte, with a pause before each."""
    content = json.dumps(body).encode()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):  # noqa: N802
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            with contextlib.suppress(OSError):
                for byte in content:
                    time.sleep(pause)
                    self.wfile.write(bytes([byte]))

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
