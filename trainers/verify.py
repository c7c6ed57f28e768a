"""Verifies in about a minute that the library computes the right numbers on this machine.

  python -m trainers.verify

It compares the language model with reference vectors computed by PyTorch in float64, the LSTM
kernels with the portable one in float64, and a tiny run that was interrupted and resumed with an
unbroken run, bit by bit. It prints the largest error of each, max|a - b| / max|b| over the tensors,
with its limit. The exit code is 1 if a check failed. Run it first on a new machine or GPU.
"""

from trainers import cli


def main():
    cli.main("trainers.commands.verify", __doc__)


if __name__ == "__main__":
    main()
