"""The pages name what there is: every public name, no other, and examples that run."""

import importlib
import pathlib
import re

import pytest

import awd_keras

ROOT = pathlib.Path(__file__).absolute().parents[2]
PAGES = sorted((ROOT / "docs").rglob("*.md"))
GUIDE = [path for path in PAGES if path.parent.name == "guide"]
API = "\n".join(p.read_text(encoding="utf-8") for p in PAGES if p.parent.name == "api")
TARGETS = re.findall(r"^::: (\S+)$", API, re.MULTILINE)
EXAMPLES = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)
PACKAGES = [
    f"awd_keras.{path.parent.name}" for path in sorted((ROOT / "awd_keras").glob("*/__init__.py"))
]


def missing(package, targets):
    """Public names of a package that no target stands for, as PACKAGE.NAME or PACKAGE.MODULE.NAME.

    The second is for a function whose module has its name.
    """
    there = {(t.rpartition(".")[2], t.startswith(package.__name__ + ".")) for t in targets}
    return [name for name in package.__all__ if (name, True) not in there]


@pytest.mark.parametrize("name", PACKAGES)
def test_every_public_name_is_in_the_reference(name):
    assert not missing(importlib.import_module(name), TARGETS)


@pytest.mark.parametrize("name", awd_keras.__all__)
def test_every_part_of_the_library_is_in_the_reference(name):
    assert f"awd_keras.{name}" in API


def test_a_missing_name_is_found():
    package = importlib.import_module("awd_keras.data")
    targets = [f"awd_keras.data.{name}" for name in package.__all__ if name != "batchify"]
    assert missing(package, targets) == ["batchify"]


@pytest.mark.parametrize("target", TARGETS)
def test_every_name_in_the_reference_exists(target):
    try:
        importlib.import_module(target)
    except ModuleNotFoundError:
        module, _, name = target.rpartition(".")
        assert hasattr(importlib.import_module(module), name)


@pytest.mark.parametrize("path", GUIDE, ids=lambda path: path.stem)
def test_the_examples_of_the_guide_run(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {"__name__": f"guide_{path.stem}"}
    for code in EXAMPLES.findall(path.read_text(encoding="utf-8")):
        exec(compile(code, str(path), "exec"), names)
