"""Serves an exported model on this machine, for development, tests and demonstrations.

  python -m serving.local                         # the small model that comes with the package
  python -m serving.local --model=exported/ptb

It answers the gRPC calls and the REST routes of TF-Serving (PredictionService's Predict and
GetModelMetadata, ModelService's GetModelStatus), so that a client cannot tell one from the other.
It is not TF-Serving: every request runs by itself (no batching), one version is served until the
server ends (no version policies), and there is nothing here to scale. The folder is
<name>/<version>/saved_model.pb; the highest version is served. Ctrl-C ends it.
"""

import contextlib
import os
import signal
import sys
import tempfile

from absl import flags

from trainers import old_cli as command
from trainers.errors import UserError

FLAGS = flags.FLAGS


def main():
    """Parses the command line and serves until Ctrl-C."""
    flags.DEFINE_string(
        "model",
        None,
        "folder that serving.export wrote; default: the small model that comes with the package",
    )
    flags.DEFINE_string("model_name", None, "name in requests; default: that of the folder")
    flags.DEFINE_integer("version", None, "version to serve; default: the highest")
    flags.DEFINE_multi_string("label", [], "label that requests may use for the version")
    flags.DEFINE_string("host", "127.0.0.1", "address to listen on; nothing guards it")
    flags.DEFINE_integer("port", 8500, "of gRPC; 0: any free one", 0, 65535)
    flags.DEFINE_integer("rest_api_port", 8501, "of REST; 0: any free one", 0, 65535)
    flags.DEFINE_integer("threads", 8, "requests worked on at once by each interface", 1)
    flags.DEFINE_integer("max_requests", 128, "requests or connections accepted at once by each", 1)
    flags.DEFINE_integer("max_request_bytes", 16 * 2**20, "size of the largest request", 1)
    flags.DEFINE_float("timeout", 30.0, "seconds after which a request is given up", 0.001)
    command.main(_serve, errors=_errors)


def _errors():
    from serving.servable import ModelFolderError
    from serving.status import StatusError

    # A package without its model; a warm-up request that fails.
    bad_input = (ModelFolderError, UserError, StatusError)
    return dict.fromkeys(bad_input, command.EXIT_BAD_INPUT)


def _serve():
    from serving.servable import ModelFolderError

    if FLAGS.model == "":
        raise ModelFolderError("--model must be the folder of an export. Received: nothing")
    with contextlib.ExitStack() as stack:
        folder = FLAGS.model
        if folder is None:
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            _export_bundled(folder)
        _serve_folder(folder)
    print("ended", file=sys.stderr, flush=True)
    # Nothing is left to be saved, and freeing TensorFlow object by object takes seconds.
    os._exit(0)


def _export_bundled(folder):
    from serving.bundled_export import export_bundled_model
    from trainers.training import bundled

    print(bundled.describe(), flush=True)
    export_bundled_model(folder)


def _serve_folder(folder):
    from serving.replay import replay
    from serving.servable import Servable, find_version
    from serving.server import Server

    name, version, path = find_version(folder, FLAGS.version)
    servable = Servable(path, FLAGS.model_name or name, version, FLAGS.label)
    with contextlib.closing(servable):
        server = Server(
            servable,
            host=FLAGS.host,
            grpc_port=FLAGS.port,
            rest_port=FLAGS.rest_api_port,
            threads=FLAGS.threads,
            max_requests=FLAGS.max_requests,
            max_request_bytes=FLAGS.max_request_bytes,
            timeout=FLAGS.timeout,
        )
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            num_replayed = replay(servable, path)
            print(
                "serving.local: for development. Not TF-Serving: no batching, no version policies, "
                "no scaling.\n"
                f"model {servable.name}, version {version}, {num_replayed} warm-up requests; "
                f"signatures: {', '.join(sorted(servable.signatures))}\n"
                f"gRPC: {server.grpc_address}\n"
                f"REST: {server.rest_address}/v1/models/{servable.name}",
                flush=True,
            )
            server.run()
        except KeyboardInterrupt:
            pass
        finally:
            server.stop()


if __name__ == "__main__":
    main()
