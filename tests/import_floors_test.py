"""The library has floors: a file imports only from floors below its own, or from its own folder."""

import ast
import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).absolute().parents[1]

# Where a file stands; the longest entry that matches its path counts. Files that share an entry
# may import each other; everything else has to be on a lower floor.
FLOORS = {
    "awd_keras/version.py": 0,
    "awd_keras/config.py": 0,
    "awd_keras/atomic_write.py": 0,
    "awd_keras/presets.py": 1,
    "awd_keras/ablation.py": 1,
    "awd_keras/data": 1,
    "awd_keras/optimizers/non_monotonic_trigger.py": 1,
    "awd_keras/ops": 2,
    "awd_keras/losses": 3,
    "awd_keras/metrics": 3,
    "awd_keras/optimizers": 3,
    "awd_keras/layers": 4,
    "awd_keras/models": 5,
    "awd_keras/evaluation": 5,
    "awd_keras/training": 6,
    "awd_keras/tuning": 8,
    "awd_keras/verification": 8,
    "awd_keras/io": 7,
    "awd_keras/reporting": 7,
    "awd_keras/*.py": 7,  # assembly: factory.py, generation.py, __init__.py ...
    "trainers": 9,
    "serving": 9,
    "benchmarks": 10,
}

# These work without TensorFlow: they may import it in a function, never on being imported.
PLAIN_FLOOR = 1
HEAVY = ("tensorflow", "keras", "tensorflow_datasets", "keras_tuner")
PLAIN_EXCEPT = ("awd_keras/data/datasets/",)  # TFDS builders

# Procedures receive a model: they import none, though `models` is a floor below.
NEVER = {"awd_keras/training": ("awd_keras/models",)}

# The last reads one; only the others define any.
FLAGS_ALLOWED = ("trainers/", "serving/", "awd_keras/command.py")
PRIVATE = "keras" + ".src"


def folder_of(path):
    return path.rpartition("/")[0]


def entry_of(path):
    """Returns the entry of FLOORS that holds a file, None if there is none."""
    parent = path
    while parent:
        if parent in FLOORS:
            return parent
        parent = folder_of(parent)
    any_file = f"{folder_of(path)}/*.py"
    return any_file if any_file in FLOORS else None


def imports_of(path, source, sources):
    """Yields (module name, file of this repository or None, line, on import) for every import.

    "On import" is false for what runs later or never: in a function, or under TYPE_CHECKING.
    """
    package = folder_of(path).split("/")

    def visit(node, on_import):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, file_of(alias.name, sources), node.lineno, on_import
        elif isinstance(node, ast.ImportFrom):
            parents = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*parents, *filter(None, [node.module])])
            for alias in node.names:
                name = f"{module}.{alias.name}"
                file = file_of(name, sources) or file_of(module, sources)
                yield name, file, node.lineno, on_import
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            on_import = False
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            on_import = False
        for child in ast.iter_child_nodes(node):
            yield from visit(child, on_import)

    yield from visit(ast.parse(source, path), True)


def file_of(module, sources):
    stem = module.replace(".", "/")
    return next((f for f in (f"{stem}.py", f"{stem}/__init__.py") if f in sources), None)


def inside(name, module):
    return name == module or name.startswith(f"{module}.")


def check(sources):
    """Returns one sentence for every broken rule in {path: source}."""
    problems = []
    graph = {}
    for path, source in sources.items():
        entry = entry_of(path)
        if entry is None:
            problems.append(f"{path}: its folder is missing from FLOORS")
            continue
        plain = FLOORS[entry] <= PLAIN_FLOOR and not path.startswith(PLAIN_EXCEPT)
        graph[path] = set()
        for name, target, line, on_import in imports_of(path, source, sources):
            where = f"{path}:{line}"
            if inside(name, PRIVATE):
                problems.append(f"{where}: imports {name}, which is private")
            if inside(name, "absl.flags") and not path.startswith(FLAGS_ALLOWED):
                problems.append(f"{where}: absl.flags belongs in {' and '.join(FLAGS_ALLOWED)}")
            if plain and on_import and any(inside(name, heavy) for heavy in HEAVY):
                problems.append(f"{where}: imports {name}, but should load without TensorFlow")
            if target is None or target == path:
                continue
            graph[path].add(target)
            if not may_import(path, target):
                problems.append(f"{where}: imports {target}, which is not on a floor below")
            for folder, forbidden in NEVER.items():
                if path.startswith(f"{folder}/") and target.startswith(forbidden):
                    problems.append(f"{where}: {folder} never imports {target}")
    circle = find_circle(graph)
    if circle:
        problems.append("imports go in a circle: " + " -> ".join(circle))
    return problems


def may_import(path, target):
    here, there = entry_of(path), entry_of(target)
    return there in (None, here) or FLOORS[there] < FLOORS[here]


def find_circle(graph):
    """Returns the files of one circle, first file repeated at its end, or None."""
    done = set()

    def walk(path, trail):
        if path in trail:
            return [*trail[trail.index(path) :], path]
        if path in done:
            return None
        for target in sorted(graph.get(path, ())):
            circle = walk(target, [*trail, path])
            if circle:
                return circle
        done.add(path)
        return None

    return next(filter(None, (walk(path, []) for path in sorted(graph))), None)


def read_sources(*folders):
    paths = (path for folder in folders for path in sorted((ROOT / folder).rglob("*.py")))
    return {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8") for path in paths}


def test_every_file_imports_from_below():
    sources = read_sources("awd_keras", "trainers", "serving", "benchmarks")
    assert sources
    assert not check(sources)


def test_tests_import_nothing_private():
    for path, source in read_sources("tests").items():
        for name, _, line, _ in imports_of(path, source, {}):
            assert not inside(name, PRIVATE), f"{path}:{line} imports {name}"


BROKEN = {
    "from a higher floor": {
        "awd_keras/ops/lstm.py": "from awd_keras.layers import locked_dropout",
        "awd_keras/layers/locked_dropout.py": "",
    },
    "relative, from a higher floor": {
        "awd_keras/ops/lstm.py": "from ..layers.locked_dropout import LockedDropout",
        "awd_keras/layers/locked_dropout.py": "",
    },
    "from a neighbour on the same floor": {
        "awd_keras/metrics/perplexity.py": "import awd_keras.losses.regularization",
        "awd_keras/losses/regularization.py": "",
    },
    "in a function": {
        "awd_keras/config.py": "def f():\n    from trainers.presets import PRESETS",
        "awd_keras/presets.py": "",
    },
    "a model in evaluation": {
        "awd_keras/evaluation/evaluate.py": "from awd_keras.models import AWDLSTM",
        "awd_keras/models/__init__.py": "",
    },
    "a model in training": {
        "awd_keras/training/loop.py": "from awd_keras import models",
        "awd_keras/models/__init__.py": "",
    },
    "the whole library in the library": {
        "awd_keras/training/loop.py": "import awd_keras",
        "awd_keras/__init__.py": "",
    },
    "trainers in serving": {
        "serving/export.py": "from trainers import common",
        "trainers/common.py": "",
    },
    "an unknown folder": {"awd_keras/utilities/misc.py": ""},
    "a circle": {
        "awd_keras/ops/a.py": "from awd_keras.ops import b",
        "awd_keras/ops/b.py": "from awd_keras.ops.a import f",
    },
    "flags in the library": {"awd_keras/training/loop.py": "from absl import flags"},
    "TensorFlow on a plain floor": {"awd_keras/data/corpus.py": "import tensorflow as tf"},
    "Keras in the trigger": {
        "awd_keras/optimizers/non_monotonic_trigger.py": "try:\n    import keras\nfinally: 0"
    },
    "private Keras": {"awd_keras/layers/x.py": "from keras import src"},
    "private Keras, deep": {"awd_keras/layers/x.py": f"from {PRIVATE}.backend import KerasTensor"},
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_rule_is_found(name):
    assert len(check(BROKEN[name])) == 1


def test_what_is_allowed_is_not_reported():
    assert not check(
        {
            "awd_keras/__init__.py": "from awd_keras.version import __version__",
            "awd_keras/version.py": "",
            "awd_keras/config.py": "",
            "awd_keras/data/__init__.py": "from awd_keras.data.corpus import Corpus",
            "awd_keras/data/corpus.py": "def f():\n    import tensorflow\n"
            "    from awd_keras.data.datasets import ptb",
            "awd_keras/data/datasets/ptb.py": "import tensorflow_datasets",
            "awd_keras/ops/__init__.py": "from awd_keras.ops.lstm import lstm",
            "awd_keras/ops/lstm.py": "import tensorflow as tf",
            "awd_keras/layers/lstm.py": "from awd_keras import ops\nfrom awd_keras.ops import lstm",
            "awd_keras/training/loop.py": "import typing\nfrom absl import logging\n"
            "from awd_keras import config\nfrom . import checkpoint",
            "awd_keras/training/checkpoint.py": "",
            "trainers/ptb.py": "from absl import app, flags\nfrom trainers import common",
            "trainers/common.py": "import awd_keras",
        }
    )


def run_python(code):
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", code]
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=120)


HEAVY_LOADED = f"""
import sys
loaded = [name for name in {HEAVY} if name in sys.modules]
assert not loaded, loaded
"""


def test_importing_the_library_does_not_import_tensorflow():
    result = run_python("import awd_keras\n" + HEAVY_LOADED)
    assert result.returncode == 0, result.stderr


def test_an_import_of_tensorflow_would_be_noticed():
    result = run_python("import sys; sys.modules['tensorflow'] = sys\n" + HEAVY_LOADED)
    assert result.returncode != 0
    assert "['tensorflow']" in result.stderr


ENTRY_POINTS = [
    path.removesuffix(".py").replace("/", ".")
    for path, source in read_sources("trainers", "serving").items()
    if 'if __name__ == "__main__"' in source
]


@pytest.mark.parametrize("module", ENTRY_POINTS)
def test_help_does_not_import_tensorflow(module):
    result = run_python(
        f"import runpy, sys\nsys.argv = ['{module}', '--help']\n"
        f"try:\n    runpy.run_module('{module}', run_name='__main__')\n"
        "except SystemExit:\n    pass\n" + HEAVY_LOADED
    )
    assert result.returncode == 0, result.stderr
    assert "--" in result.stdout
