"""The work of `serving.local`."""

import contextlib
import pathlib
import tempfile

from absl import flags

from serving.commands.export import BUNDLED
from serving.saved_model import export_saved_model
from serving.server import Server
from trainers.training.factory import load_model

FLAGS = flags.FLAGS


def main():
    """Serves the model that the flags name until Ctrl-C."""
    with contextlib.ExitStack() as stack:
        path = FLAGS.model_path
        if path is None:
            output = stack.enter_context(tempfile.TemporaryDirectory())
            model, vocabulary, _ = load_model(dtype="float32")
            export_saved_model(model, vocabulary, output, BUNDLED, warmup=False)
            path = pathlib.Path(output) / BUNDLED
        server = stack.enter_context(
            Server(
                path,
                FLAGS.model_name,
                host=FLAGS.host,
                grpc_port=FLAGS.port,
                rest_port=FLAGS.rest_api_port,
                max_request_bytes=FLAGS.max_request_bytes,
            )
        )
        print(
            f"model {server.name}, version {server.version}; for development only\n"
            f"gRPC: {server.grpc_address}\n"
            f"REST: {server.rest_url}",
            flush=True,
        )
        with contextlib.suppress(KeyboardInterrupt):
            server.wait()
