"""How the commands begin and end."""

import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).absolute().parents[1]
# A command that prints a word and then does what its argument says.
SCRIPT = """
import sys
from trainers.start_up import run_command
def main(argv):
    print("a word")
    return eval(argv[1])
run_command(main)
"""


def run(*command, stdout, unbuffered=False, **options):
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONUNBUFFERED"}
    if unbuffered:
        environment["PYTHONUNBUFFERED"] = "1"
    return subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        env=environment,
        text=True,
        stdout=stdout,
        stderr=options.pop("stderr", subprocess.PIPE),
        **options,
    )


@pytest.fixture
def unread():
    """A pipe from which nobody reads."""
    readable, writable = os.pipe()
    os.close(readable)
    yield writable
    os.close(writable)


@pytest.mark.parametrize("unbuffered", [False, True])
class TestNobodyReads:
    @pytest.mark.parametrize("module", ["trainers.ptb", "trainers.verify", "serving.client"])
    def test_the_help(self, unread, module, unbuffered):
        ended = run("-m", module, "--help", stdout=unread, unbuffered=unbuffered)
        # A short help is written at the end, when the code that absl gives help stands.
        assert ended.returncode in (1, 141) and ended.stderr == ""

    def test_what_a_command_prints(self, unread, unbuffered):
        ended = run("-c", SCRIPT, "None", stdout=unread, unbuffered=unbuffered)
        assert (ended.returncode, ended.stderr) == (141, "")

    def test_errors_too(self, unread, unbuffered):
        # Unbuffered, the print itself finds nobody, before the command has a code.
        ended = run("-c", SCRIPT, "3", stdout=unread, stderr=unread, unbuffered=unbuffered)
        assert ended.returncode == (141 if unbuffered else 3)


def test_a_code_and_a_fault_are_not_lost(unread):
    assert run("-c", SCRIPT, "3", stdout=unread).returncode == 3
    assert "ZeroDivisionError" in run("-c", SCRIPT, "1 / 0", stdout=unread).stderr


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
def test_a_full_disk():
    with open("/dev/full", "w") as full:
        ended = run("-c", SCRIPT, "None", stdout=full)
    assert (ended.returncode, ended.stderr) == (1, "error: No space left on device\n")


def test_a_closed_output():
    code = "import os, sys; os.close(1); os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
    ended = run("-c", code, "-c", SCRIPT, "7", stdout=subprocess.DEVNULL)
    assert (ended.returncode, ended.stderr) == (7, "")
