"""Times the generation of one word: one step of the model, whose input is its last prediction.

  python -m benchmarks.generation --peer_python=PYTHON --dtype float32 bfloat16

benchmarks.train_step describes how implementations are compared.
"""

from benchmarks import comparison
from benchmarks.implementations import TRAINED


def main():
    parser = comparison.argument_parser(__doc__, TRAINED, batch_size=[1], timesteps=1)
    comparison.run(parser.parse_args(), ["generate"], repeat=200)


if __name__ == "__main__":
    main()
