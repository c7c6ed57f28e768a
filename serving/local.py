"""Serves an exported model for development. To deploy it, use TensorFlow Serving.

  python -m serving.local --model_path=exported/ptb
  python -m serving.local                              # the bundled model

Serves the highest version over gRPC and REST on 127.0.0.1 until interrupted with Ctrl-C, without
batching, authentication or encryption.
"""

from absl import flags

from trainers import cli


def main():
    """Parses the command line and serves."""
    flags.DEFINE_string(
        "model_path", None, "folder of an exported model or version; default: the bundled model"
    )
    flags.DEFINE_integer("port", 8500, "gRPC port, or 0 for any free port", 0, 65535)
    flags.DEFINE_integer("rest_api_port", 8501, "REST port, or 0 for any free port", 0, 65535)
    cli.main("serving.server", __doc__)


if __name__ == "__main__":
    main()
