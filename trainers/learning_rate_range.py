"""Finds the learning rates at which a model trains: a range test, with a plot.

  python -m trainers.learning_rate_range --data_dir=FOLDER --preset=ptb_small
  python -m trainers.learning_rate_range --data_dir=FOLDER --recipe=fast
  python -m trainers.learning_rate_range --preset=demo --lowest_learning_rate=1 --num_steps=100

Some hundred steps of training, whose learning rate grows by the same factor from step to step,
until the loss has grown by half or --num_steps are made. learning_rate_range.png, .csv and .json in
the run folder show the losses and two learning rates: where the loss falls fastest, and where it is
smallest. A constant rate is best between them, the peak of --learning_rate_schedule=one_cycle near
the second. The settings are those of the training commands.

The same command again continues a test that was stopped.
"""

import os

from absl import flags

from trainers import command, common
from trainers.errors import UserError

FLAGS = flags.FLAGS
# Lowest and highest learning rate, by optimizer.
_RANGES = {"sgd": (0.1, 1000.0), "adam": (1e-5, 1.0)}


def main():
    common.define_flags("ptb")
    flags.DEFINE_float("lowest_learning_rate", None, "of the first step; default: 0.1, adam 1e-5")
    flags.DEFINE_float("highest_learning_rate", None, "of the last step; default: 1000, adam 1")
    flags.DEFINE_integer("num_steps", 200, "steps from the lowest to the highest")
    FLAGS["workdir"].help = "run folder of the test; default: runs/<preset>-learning_rate_range"
    command.main(_range_test)


def _range_test():
    from awd_keras.data import load_corpus
    from trainers.search.learning_rate_range import (
        LearningRateRange,
        RangeFolder,
        learning_rate_range_test,
    )
    from trainers.training import factory
    from trainers.training.curves import draw_learning_rate_range
    from trainers.training.progress import Progress

    config = common.config_from_flags()
    lowest, highest = _RANGES[config.optimizer]
    rates = LearningRateRange(
        lowest if FLAGS.lowest_learning_rate is None else FLAGS.lowest_learning_rate,
        highest if FLAGS.highest_learning_rate is None else FLAGS.highest_learning_rate,
        FLAGS.num_steps,
    )
    if config.momentum_min is not None:
        # There is no cycle here: the momentum is the one at the peak of the learning rate.
        config = config.replace(momentum=config.momentum_min or None, momentum_min=None)
    if config.initial_run is not None:
        raise UserError("The range test starts from random weights; leave initial_run out.")
    workdir = FLAGS.workdir or common.default_workdir() + "-learning_rate_range"
    folder = RangeFolder(workdir)
    recorded = folder.read_config()[0].dtype if folder.check() else None
    config = config.replace(dtype=common.resolve_dtype(config.dtype, recorded)[0])
    if folder.check(config) and not FLAGS.resume:
        raise UserError(
            f"{workdir} holds a range test already. Leave --noresume out to continue it, or choose "
            "another folder by --workdir."
        )
    corpus = load_corpus(
        config.corpus, config.data_dir, config.max_vocabulary_size, config.max_train_tokens
    )
    model = factory.build_model(config, len(corpus.vocabulary))
    optimizer = factory.build_optimizer(config, model)
    print(f"run folder: {workdir}")
    print(f"corpus: {corpus.describe()}")
    rows, reason = learning_rate_range_test(
        model, optimizer, corpus, config, folder, rates, Progress()
    )
    last = rows[-1]["learning_rate"] if rows else 0.0
    why = {
        "finished": "the last step",
        "diverged": "the loss has grown by half",
        "interrupted": "interrupted; the same command goes on from here",
    }[reason]
    print(f"ended after {len(rows)} steps, at learning rate {last:.3g}: {why}")
    _report(folder, rows, draw_learning_rate_range, f"{corpus.name}, {config.optimizer}")
    return common.EXIT_INTERRUPTED if reason == "interrupted" else 0


def _report(folder, rows, draw, title):
    from trainers.search.learning_rate_range import suggest as suggest_learning_rates

    suggested = suggest_learning_rates(rows)
    picture = os.path.join(folder.path, "learning_rate_range.png")
    if draw(picture, rows, suggested, title):
        print(f"plot: {picture}")
    else:
        print("plot: not drawn (too few steps, or matplotlib is missing)")
    if suggested:
        print(f"learning rate of the steepest fall: {suggested['steepest']:.3g}")
        print(f"learning rate of the lowest loss: {suggested['lowest_loss']:.3g}")


if __name__ == "__main__":
    main()
