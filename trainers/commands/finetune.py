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
    given = config_flags.given_settings()
    initial_run, output = FLAGS.workdir, FLAGS.output_workdir
    if "initial_run" in given:
        if initial_run and output:
            raise UserError("Pass --workdir or --output_workdir with --initial_run, not both.")
        initial_run, output = given.pop("initial_run"), initial_run or output
    if not initial_run:
        raise UserError("--workdir is required: the folder of a trained run.")
    initial_run = os.path.normpath(initial_run)
    output = os.path.normpath(output or f"{initial_run}-finetuned")
    if pathlib.Path(output).resolve().is_relative_to(pathlib.Path(initial_run).resolve()):
        raise UserError(
            f"--output_workdir must be a folder outside {initial_run}. Received: {output}"
        )
    if "corpus" in given:
        given.setdefault("data_dir", None)  # not the folder of the other corpus
    folder = RunFolder(output)
    if folder.check():  # the original run may have been trained further since
        config = folder.read_config()[0].replace(initial_run=initial_run, **given)
    else:
        config = RunFolder(initial_run).read_config()[0].fine_tuning(initial_run, **given)
    return train(config, output)
