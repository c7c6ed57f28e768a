"""The commands as the package's scripts call them."""

import importlib
import subprocess
import sys

import pytest

from tests.trainers.command_line import ROOT
from trainers import console

SCRIPT = """
import sys
sys.argv = ["/somewhere/bin/awd-{name}", *{arguments}]
from trainers.console import {name}
sys.exit({name}())
"""


def run_script(name, *arguments):
    command = [sys.executable, "-c", SCRIPT.format(name=name, arguments=list(arguments))]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("name", console.COMMANDS)
def test_help_is_that_of_the_module_and_names_the_command(name):
    ended = run_script(name, "--help")
    assert ended.stderr == ""
    assert f"\n  awd-{name}" in ended.stdout
    assert f"\nawd-{name}:\n  --" in ended.stdout
    assert f"python -m {console.COMMANDS[name]}" not in ended.stdout
    doc = importlib.import_module(console.COMMANDS[name]).__doc__
    assert ended.stdout.startswith(doc.splitlines()[0])


def test_a_command_runs():
    ended = run_script("score", "--nosuch")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "'nosuch'" in ended.stderr
    ended = run_script("score", "one", "two", "three")
    assert ended.returncode == 1
    assert ended.stderr.startswith("error: expected ")
