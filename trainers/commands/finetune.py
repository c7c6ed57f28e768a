"""Fine-tunes a trained run."""

import os
import pathlib

from absl import flags

from trainers import config_flags
from trainers.commands.train import train
from trainers.errors import UserError
from trainers.training import RunFolder

FLAGS = flags.FLAGS


def main():
    if not FLAGS.workdir:
        raise UserError("--workdir is required: the folder of a trained run.")
    initial_run = os.path.normpath(FLAGS.workdir)
    output = os.path.normpath(FLAGS.output_workdir or f"{initial_run}-finetuned")
    if pathlib.Path(output).resolve().is_relative_to(pathlib.Path(initial_run).resolve()):
        raise UserError(
            f"--output_workdir must be a folder outside {initial_run}. Received: {output}"
        )
    config, _ = RunFolder(initial_run).read_config()
    return train(config.fine_tuning(initial_run, **config_flags.given_settings()), output)
