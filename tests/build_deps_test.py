"""The BUILD files name, target by target, what the Python files import."""

import fnmatch
import pathlib
import sys

from tests.import_floors_test import imports_of, read_sources

ROOT = pathlib.Path(__file__).absolute().parents[1]


# Packages that are imported by another name than theirs.
PACKAGES = {"absl": "absl_py", "google": "protobuf", "grpc": "grpcio",
            "tensorflow_serving": "tensorflow_serving_api"}  # fmt: skip


def matches(file, pattern):
    if pattern.startswith("**/"):
        return fnmatch.fnmatch(file, pattern.removeprefix("**/"))
    return fnmatch.fnmatch(file, pattern) and "/" not in file


def read_targets(text, folder, files):
    """Returns [(label, its files, its dependencies)] of a BUILD file, which is valid Python too."""
    targets = []

    def glob(patterns, exclude=()):
        return [f for f in files if any(matches(f, p) for p in patterns) and f not in exclude]

    def library(name, srcs=(), deps=(), **_):
        paths = [f"{folder}/{file}" for file in srcs]
        targets.append((f"//{folder}:{name}", paths, set(map(full, deps))))

    def full(label):
        label = label if "//" in label else f"//{folder}{label}"
        return label if ":" in label or label[0] == "@" else f"{label}:{label.rpartition('/')[2]}"

    rules = {"py_library": library, "py_binary": library, "glob": glob}
    ignored = dict.fromkeys(
        ("load", "package", "exports_files", "filegroup"), lambda *_, **__: None
    )
    exec(compile(text, f"{folder}/BUILD", "exec"), {**rules, **ignored})
    return targets


def check_targets(targets, sources):
    """Returns one sentence for every import that no target depends on."""
    label_of = {file: label for label, files, _ in targets for file in files}
    problems = [f"{file} is in no target" for file in sources if file not in label_of]
    for label, files, deps in targets:
        for file in filter(sources.__contains__, files):  # Bazel reports what is not there
            for name, target, line, _ in imports_of(file, sources[file], sources):
                if target is not None:
                    needed = label_of.get(target, label)
                elif (top := name.partition(".")[0]) not in sys.stdlib_module_names:
                    needed = "@pypi//" + PACKAGES.get(top, top)
                else:
                    continue
                if needed not in (label, *deps):
                    problems.append(f"{file}:{line}: {label} lacks the dependency {needed}")
    return problems


def package_of(path):
    """Returns the folder whose BUILD file holds a file: the nearest one above it."""
    folders = (str(parent) for parent in pathlib.PurePosixPath(path).parents)
    return next(folder for folder in folders if (ROOT / folder / "BUILD").exists())


def test_build_files_name_every_dependency():
    sources = read_sources("awd_keras", "trainers", "serving")
    targets = []
    for folder in sorted({package_of(path) for path in sources}):
        inside = [path for path in sources if package_of(path) == folder]
        files = [path.removeprefix(f"{folder}/") for path in inside]
        text = (ROOT / folder / "BUILD").read_text(encoding="utf-8")
        targets += read_targets(text, folder, files)
    assert not check_targets(targets, sources)


def test_a_missing_dependency_is_found():
    build = 'py_library(name = "layers", srcs = glob(["*.py"]), deps = ["@pypi//keras"])'
    targets = [("//awd_keras/ops:ops", ["awd_keras/ops/lstm.py"], set())]
    targets += read_targets(build, "awd_keras/layers", ["a.py"])
    sources = {
        "awd_keras/ops/lstm.py": "",
        "awd_keras/layers/a.py": "import keras\nimport numpy as np\nfrom awd_keras.ops import lstm",
        "awd_keras/losses/b.py": "",
    }
    problems = check_targets(targets, sources)
    lacking = [problem.rpartition(" ")[2] for problem in problems]
    assert lacking == ["target", "@pypi//numpy", "//awd_keras/ops:ops"]
