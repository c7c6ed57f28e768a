"""How the commands begin and end."""

import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).absolute().parents[1]


@pytest.mark.parametrize("module", ["trainers.ptb", "trainers.generate", "serving.client"])
def test_a_reader_of_the_help_that_went_away(module):
    readable, writable = os.pipe()
    os.close(readable)
    ended = subprocess.run(
        [sys.executable, "-m", module, "--help"], cwd=ROOT, stdout=writable,
        stderr=subprocess.PIPE, text=True)  # fmt: skip
    os.close(writable)
    assert (ended.returncode, ended.stderr) == (141, "")
