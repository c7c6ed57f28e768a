"""Times the evaluation of a text: the forward pass, without dropout or gradients.

  python -m benchmarks.evaluation --peer_python=PYTHON --dtype float32 bfloat16

benchmarks.train_step describes how implementations are compared.
"""

from benchmarks import comparison
from benchmarks.implementations import TRAINED


def main():
    parser = comparison.argument_parser(__doc__, TRAINED, batch_size=[1, 10])
    comparison.run(parser.parse_args(), ["evaluate"])


if __name__ == "__main__":
    main()
