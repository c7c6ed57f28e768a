"""The pages are built without a warning, where the builder is: `make docs` installs it."""

import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).absolute().parents[2]

pytest.importorskip("mkdocs")
pytest.importorskip("mkdocstrings_handlers.python")


def test_the_pages_are_built_without_a_warning(tmp_path):
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    page = (tmp_path / "api" / "optimizers.html").read_text(encoding="utf-8")
    assert "keras.optimizers.SGD(30.0, weight_decay=1.2e-6, global_clipnorm=0.25)" in page
