"""Verifies that the library computes on this machine what it should, in about a minute.

  python -m trainers.verify
  python -m trainers.verify --checks=lstm

The first command on a new machine or GPU. It compares

  reference  functions and model with numbers that plain PyTorch computed in float64: logits,
             losses, states, all gradients, with and without dropout masks, and eight steps of
             training with averaging
  lstm       every LSTM kernel of this machine with a plain loop, in each precision, with the
             state carried over windows and with rows of different lengths; cuDNN where there is a
             GPU
  resume     a tiny run with the same run, interrupted three times: equal bit for bit

and prints a table: the largest error, by max|a - b| / max|b| of each tensor, what it may be at
most, and in which tensor it was met. The exit code is 0 if every check passed or was skipped for
want of a GPU, and 1 if one failed.
"""

import sys
import time

from absl import flags

from trainers import command, common
from trainers.errors import UserError
from trainers.table import format_table

FLAGS = flags.FLAGS
_CHECKS = ("reference", "lstm", "resume")


def main():
    flags.DEFINE_list("checks", list(_CHECKS), "which of them to make")
    command.main(_verify)


def _verify():
    unknown = [name for name in FLAGS.checks if name not in _CHECKS]
    if unknown or not FLAGS.checks:
        raise UserError(
            f"--checks must be some of {','.join(_CHECKS)}. Received: {','.join(FLAGS.checks)}"
        )
    import tensorflow as tf

    from trainers import verification
    from trainers.training.progress import Progress

    # Each check traces functions of its own, of which TensorFlow would warn.
    tf.get_logger().setLevel("ERROR")
    started = time.monotonic()
    for line in verification.describe_device():
        print(line)
    print(flush=True)
    progress = Progress(stream=sys.stderr)
    checks = []
    for name in dict.fromkeys(FLAGS.checks):
        for check in verification.CHECKS[name]():
            checks.append(check)
            progress.live(lambda: f"{len(checks)} checks made, last {checks[-1].name}")
    progress.close()
    print(
        format_table(
            [["check", "result", "figure", "at most", "where"], *map(_row, checks)], left=(0, 1, 4)
        )
    )
    failed, skipped, passed = (
        sum(getattr(check, kind) for check in checks) for kind in ("failed", "skipped", "passed")
    )
    seconds = time.monotonic() - started
    print(f"\n{passed} checks passed, {skipped} skipped, {failed} failed, in {seconds:.0f} seconds")
    return common.EXIT_BAD_INPUT if failed else 0


def _row(check):
    figure = "" if check.figure is None else f"{check.figure:.2g}"
    result = f"skipped: {check.detail}" if check.skipped else check.result
    where = "" if check.skipped else check.detail
    return [check.name, result, figure, f"{check.limit:.2g}", where]


if __name__ == "__main__":
    main()
