"""Tests of keeping freed memory."""

import pathlib
import subprocess
import sys

import pytest

from trainers.allocator import keep_freed_memory

ROOT = pathlib.Path(__file__).absolute().parents[1]
# Pages that are mapped while blocks of 64 MB come and go.
COUNT_FAULTS = """
import resource, sys
from trainers.allocator import keep_freed_memory
kept = keep_freed_memory() if sys.argv[1] == "keep" else False
bytearray(2**26)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    bytearray(2**26)
print(kept, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def count_faults(mode, **environment):
    result = subprocess.run(
        [sys.executable, "-c", COUNT_FAULTS, mode],
        env={"PATH": "", "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    kept, faults = result.stdout.split()
    return kept == "True", int(faults)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs glibc")
class TestKeepFreedMemory:
    def test_blocks_are_not_mapped_again(self):
        kept, faults = count_faults("keep")
        _, by_default = count_faults("default")
        assert kept
        assert faults * 10 < by_default

    def test_the_users_own_setting_stays(self):
        assert count_faults("keep", MALLOC_ARENA_MAX="2")[0] is False


def test_elsewhere_it_does_nothing(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert keep_freed_memory() is False
