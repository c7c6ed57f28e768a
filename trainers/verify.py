"""Verifies in about a minute that the library computes the right numbers on this machine.

  python -m trainers.verify

Run it first on a new machine or GPU. It compares

  the language model with reference vectors, computed by plain PyTorch in float64
  the LSTM kernels, cuDNN's where there is a GPU, with the portable one in float64
  a tiny run that was interrupted and resumed with an unbroken run, bit by bit

and prints the largest error of each, max|a - b| / max|b| over the tensors, with its limit. The exit
code is 1 if a check failed, else 0.
"""

from trainers import cli


def main():
    cli.main("trainers.commands.verify", __doc__)


if __name__ == "__main__":
    main()
