"""Verifies in about a minute that the library computes the right numbers on this machine.

  python -m trainers.verify

It compares the language model with reference vectors computed by PyTorch in float64, the LSTM
kernels with the portable kernel in float64, a training step under XLA with the ordinary one, and an
uninterrupted tiny run, bit for bit, with one that was interrupted and resumed. It prints the
largest error of each, max|a - b| / max|b| over the tensors, and its limit. The exit code is 1 if a
check fails. Run it first on a new machine or GPU.
"""

from trainers import cli


def main():
    cli.main("trainers.commands.verify", __doc__)


if __name__ == "__main__":
    main()
