"""The work of `trainers.ptb` and `trainers.wikitext2`."""

from absl import flags

from trainers import common, config_flags

FLAGS = flags.FLAGS


def main():
    workdir = FLAGS.workdir or config_flags.default_workdir()
    return common.train(config_flags.config_from_flags(), workdir, FLAGS.resume, FLAGS.strategy)
