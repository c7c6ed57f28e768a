"""Tests of the distributions, the entry points and the lock file."""

import configparser
import importlib
import importlib.metadata
import pathlib
import runpy
import shutil
import subprocess
import sys
import tarfile
import zipfile

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = pathlib.Path(__file__).absolute().parents[1]


@pytest.fixture
def package(monkeypatch):
    """The arguments that setup.py passes to setuptools."""
    arguments = {}
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr("setuptools.setup", arguments.update)
    runpy.run_path("setup.py")
    return arguments


def test_the_lock_satisfies_and_completes_the_requirements(package):
    lines = (ROOT / "requirements_lock.txt").read_text(encoding="utf-8").splitlines()
    pins = [line.split("==") for line in lines if not line.startswith("#")]
    locked = {canonicalize_name(name): version for name, version in pins}
    extras = package["extras_require"]
    wanted = [*package["install_requires"], *extras["demo"], *extras["test"], *extras["dev"]]
    for name in locked:
        try:
            wanted += importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            pass  # not installed in this environment
    for requirement in map(Requirement, wanted):
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            version = locked.get(canonicalize_name(requirement.name))
            assert version and version in requirement.specifier, requirement


def repository_files():
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("needs a git checkout")
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout.decode()
    return {name for name in names.split("\0") if name and (ROOT / name).is_file()}


@pytest.fixture(scope="module")
def distributions(tmp_path_factory):
    """The folder of the source distribution and the wheel that is built from it."""
    pytest.importorskip("build")
    checkout, output = tmp_path_factory.mktemp("checkout"), tmp_path_factory.mktemp("dist")
    for name in repository_files():
        (checkout / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, checkout / name)
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(output), "."]
    done = subprocess.run(command, cwd=checkout, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return output


def test_the_source_distribution_has_all_files(distributions):
    (path,) = distributions.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        names = {m.name.partition("/")[2] for m in archive.getmembers() if m.isfile()}
    generated = {name for name in names if name.startswith("awd_keras.egg-info/")}
    assert names - generated - {"PKG-INFO", "setup.cfg"} == repository_files()


def test_the_wheel_has_the_packages_with_their_data_and_commands(distributions):
    (path,) = distributions.glob("*.whl")
    archive = zipfile.ZipFile(path)
    names = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert names == {
        name
        for name in repository_files()
        if name.startswith(("awd_keras/", "serving/", "trainers/")) and not name.endswith("BUILD")
    }
    points = configparser.ConfigParser()
    (name,) = (name for name in archive.namelist() if name.endswith("/entry_points.txt"))
    points.read_string(archive.read(name).decode())
    for target in points["console_scripts"].values():
        module, _, function = target.partition(":")
        assert callable(getattr(importlib.import_module(module), function))


def test_commands_run_as_modules():
    entry = 'if __name__ == "__main__":\n    main()\n'
    for folder in ("trainers", "serving"):
        for path in (ROOT / folder).glob("*.py"):
            text = path.read_text(encoding="utf-8")
            assert text.endswith(entry) or "cli.main(" not in text, path
