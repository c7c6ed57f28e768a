"""What is installed, pinned and run automatically is what the repository says."""

import configparser
import importlib.metadata
import pathlib
import re
import runpy
import shutil
import subprocess
import sys
import tarfile
import zipfile

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from trainers import console

ROOT = pathlib.Path(__file__).absolute().parents[1]


def read(path):
    return (ROOT / path).read_text(encoding="utf-8")


@pytest.fixture
def package(monkeypatch):
    """What setup.py hands to setuptools."""
    arguments = {}
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr("setuptools.setup", arguments.update)
    runpy.run_path("setup.py")
    return arguments


def locked_versions():
    lines = (line.partition("#")[0].strip() for line in read("requirements_lock.txt").splitlines())
    pins = [line.split("==") for line in lines if line]
    return {canonicalize_name(name): version for name, version in pins}


def test_version_is_that_of_the_package(package):
    version = runpy.run_path(str(ROOT / "awd_keras" / "version.py"))["__version__"]
    assert package["version"] == version
    assert re.fullmatch(r"\d+\.\d+\.\d+", version)


def test_every_folder_of_code_is_packaged_and_nothing_else(package):
    folders = {
        str(path.parent.relative_to(ROOT)).replace("/", ".")
        for top in ("awd_keras", "trainers", "serving")
        for path in (ROOT / top).rglob("*.py")
    }
    assert set(package["packages"]) == folders
    assert "awd_keras" in folders


def test_data_files_of_the_tfds_builders_are_packaged(package):
    top = ROOT / "awd_keras"
    packaged = {path for glob in package["package_data"]["awd_keras"] for path in top.glob(glob)}
    for builder in top.glob("data/datasets/*/*_builder.py"):
        metadata = {p for p in builder.parent.iterdir() if p.is_file() and p.suffix != ".py"}
        assert metadata
        assert metadata <= packaged


def test_the_bundled_model_is_packaged(package):
    top = ROOT / "awd_keras"
    packaged = {path for glob in package["package_data"]["awd_keras"] for path in top.glob(glob)}
    files = set((top / "bundled_model").iterdir())
    assert {path.name for path in files} == {"config.json", "vocabulary.txt", "weights.npz"}
    assert files <= packaged


def test_the_reference_vectors_are_packaged(package):
    top = ROOT / "awd_keras"
    packaged = {path for glob in package["package_data"]["awd_keras"] for path in top.glob(glob)}
    files = set((top / "verification" / "reference").iterdir())
    assert {path.name for path in files} == {"README.md", "awd_lstm.npz"}
    assert files <= packaged


def test_lock_satisfies_the_requirements(package):
    locked = locked_versions()
    extras = package["extras_require"]
    wanted = package["install_requires"] + extras["demo"] + extras["test"] + extras["dev"]
    for requirement in map(Requirement, wanted):
        version = locked.get(canonicalize_name(requirement.name))
        assert version, f"{requirement} is missing from requirements_lock.txt"
        assert version in requirement.specifier, f"{requirement.name}=={version} is locked"


def test_lock_is_complete():
    locked = locked_versions()
    for name in locked:
        try:
            requires = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            continue  # for another platform, or a tool that the tests do without
        for requirement in map(Requirement, requires):
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                assert canonicalize_name(requirement.name) in locked, f"{name} needs {requirement}"


def test_lock_names_no_host_and_no_path():
    pin = re.compile(r"[A-Za-z0-9_.-]+==[A-Za-z0-9_.+!-]+")
    for line in read("requirements_lock.txt").splitlines():
        assert line.startswith("#") or pin.fullmatch(line), line


def test_continuous_integration_runs_the_tests_of_the_makefile():
    assert re.search(r"^test: .*\n\t@\$\(TEST\)", read("Makefile"), re.MULTILINE)
    assert re.search(r"^TEST := .*-m pytest", read("Makefile"), re.MULTILINE)
    commands = read(".ci/run").splitlines()
    assert "rm -rf .venv" in commands
    for target in ("lint", "test", "docs", "bazel"):
        assert f"make {target} </dev/null" in map(str.strip, commands)


def files_of_the_repository():
    """Paths of what git has, and of new files that it would take."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("needs a git checkout")
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
    names = filter(None, listed.stdout.decode().split("\0"))
    return sorted(name for name in names if (ROOT / name).is_file())


def text_files():
    for name in files_of_the_repository():
        data = (ROOT / name).read_bytes()
        if b"\0" not in data:
            yield name, data.decode("utf-8", "replace")


# What may lie about in a checkout.
LEFT_OVER = [
    "build/lib/awd_keras/old.py",
    "dist/old.whl",
    "runs/demo/config.json",
    "site/index.html",
    "trainers/__pycache__/ptb.pyc",
    "awd_keras.egg-info/x.txt",
    ".venv/bin/python",
]


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The folder of the distributions that `python -m build` makes of the repository."""
    for tool in ("build", "setuptools", "wheel"):
        try:
            importlib.metadata.version(tool)
        except importlib.metadata.PackageNotFoundError:
            pytest.skip(f"needs {tool}")
    checkout = tmp_path_factory.mktemp("checkout")
    for name in files_of_the_repository():
        (checkout / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, checkout / name)
    for name in LEFT_OVER:
        (checkout / name).parent.mkdir(parents=True, exist_ok=True)
        (checkout / name).touch()
    output = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(output), "."]
    ended = subprocess.run(command, cwd=checkout, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return output


def test_the_source_distribution_is_the_repository(built):
    (path,) = built.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        names = {m.name.partition("/")[2] for m in archive.getmembers() if m.isfile()}
    made = {name for name in names if name.startswith("awd_keras.egg-info/")}
    assert names - made - {"PKG-INFO", "setup.cfg"} == set(files_of_the_repository())


def test_the_wheel_has_the_code_and_its_data(built):
    (path,) = built.glob("*.whl")
    names = set(zipfile.ZipFile(path).namelist())
    made = {name for name in names if ".dist-info/" in name}
    assert {name.rpartition("/")[2] for name in made} >= {"METADATA", "LICENSE", "entry_points.txt"}
    assert names - made == {
        name
        for name in files_of_the_repository()
        if name.startswith(("awd_keras/", "serving/", "trainers/")) and not name.endswith("BUILD")
    }


def test_the_wheel_has_the_commands(built):
    (path,) = built.glob("*.whl")
    archive = zipfile.ZipFile(path)
    (name,) = (name for name in archive.namelist() if name.endswith("/entry_points.txt"))
    points = configparser.ConfigParser()
    points.read_string(archive.read(name).decode())
    expected = {f"awd-{command}": f"trainers.console:{command}" for command in console.COMMANDS}
    assert dict(points["console_scripts"]) == expected


# Spelled so that this file does not contain them.
UNWANTED = [
    *("/" + folder + "/" for folder in ("work", "root", "opt")),
    *("py" + "pi.org", "python" + "hosted", "npm" + "js.org", "debian" + ".org"),
]


def test_no_file_names_a_machine_path_or_a_package_host():
    found = [(name, word) for name, text in text_files() for word in UNWANTED if word in text]
    assert not found
