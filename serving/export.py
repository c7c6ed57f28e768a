"""Exports a trained run as a SavedModel for TensorFlow Serving, or as a LiteRT model.

  python -m serving.export --workdir=runs/ptb --output=exported    # writes exported/ptb/1
  python -m serving.export --output=exported                       # the bundled model
  python -m serving.export --output=exported --format=litert       # writes exported/bundled.tflite

Exports the best weights of the run (averaged, if averaging had started) and its vocabulary. A
SavedModel has the signatures score, score_tokens, next_word, step and generate, and each export is
a new version. A LiteRT model has the signatures step and score, reads one text at a time, and
replaces an existing file.
"""

import dataclasses

from absl import flags

from serving.limits import Limits
from trainers import cli


def main():
    """Parses the command line and exports."""
    flags.DEFINE_string("workdir", None, "run folder; default: the bundled model")
    flags.DEFINE_string("output", None, "folder to write to (required)", required=True)
    flags.DEFINE_string("name", None, "name of the model; default: name of the run folder")
    flags.DEFINE_enum("format", "savedmodel", ["savedmodel", "litert"], "format of the export")
    with cli.section("LiteRT"):
        flags.DEFINE_bool("quantize", False, "store weights as int8 (dynamic-range quantization)")
    with cli.section("SavedModel"):
        flags.DEFINE_enum(
            "dtype",
            "float32",
            ["float32", "bfloat16"],
            "dtype of weights and matmuls; bfloat16 needs a processor with bfloat16 instructions",
        )
        for limit in dataclasses.fields(Limits):
            flags.DEFINE_integer(limit.name, limit.default, limit.metadata["help"], 1, 2**31 - 1)
    cli.main("serving.saved_model", __doc__)


if __name__ == "__main__":
    main()
