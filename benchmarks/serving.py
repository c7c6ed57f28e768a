"""Times calls of an exported model: score, next_word, step and generate.

  python -m benchmarks.serving --peer_python=PYTHON --dtype float32 bfloat16

Rows have 20 words. The export reads text; the peers, PyTorch in eager mode and under
`torch.compile`, read ids. Calls are timed in the process, without the creation of their inputs.
benchmarks.train_step describes how implementations are compared.
"""

from benchmarks import comparison
from benchmarks.implementations import SERVED

CALLS = ["score", "next_word", "step", "generate"]


def main():
    parser = comparison.argument_parser(
        __doc__, SERVED, batch_size=[1, 8, 64], timesteps=20, rounds=10
    )
    parser.add_argument("--call", nargs="+", default=CALLS, choices=CALLS, help="calls to time")
    arguments = parser.parse_args()
    comparison.run(arguments, arguments.call, calls=10, warm_up=0, self_timed=True)


if __name__ == "__main__":
    main()
