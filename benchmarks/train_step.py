"""Times a training step at the paper's sizes: forward, backward and update of all weights.

  python -m benchmarks.train_step --peer_python=PYTHON --dtype float32 bfloat16

PYTHON is an interpreter with torch and fastai. Every implementation runs in its own process. The
processes run side by side and take turns; times are medians. The table also names implementations
that cannot be started.
"""

from benchmarks import comparison
from benchmarks.implementations import TRAINED


def main():
    parser = comparison.argument_parser(__doc__, TRAINED, batch_size=[20, 80])
    comparison.run(parser.parse_args(), ["train_step"])


if __name__ == "__main__":
    main()
