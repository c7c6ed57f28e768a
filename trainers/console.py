"""The commands under the names that installing the package gives them: `awd-train` and others.

Each is `python -m MODULE`, and its help calls it by its own name. The other modules of trainers and
serving that are commands are run by `python -m` alone.
"""

import ast
import functools
import importlib.util
import re
import runpy
import sys

# awd-NAME, and the module that it runs. setup.py has the names once more.
COMMANDS = {
    "train": "trainers.ptb",
    "finetune": "trainers.finetune",
    "evaluate": "trainers.evaluate",
    "score": "trainers.score",
    "generate": "trainers.generate",
    "convert": "trainers.convert",
    "report": "trainers.report",
    "tune": "trainers.tune",
    "verify": "trainers.verify",
    "export": "serving.export",
    "serve": "serving.local",
    "client": "serving.client",
}


def run(name):
    """Runs a command as `python -m` does; its help speaks of `awd-NAME`.

    absl shows the docstring of `__main__` and the flags that belong to `sys.argv[0]`.

    Args:
        name: one of `COMMANDS`.
    """
    sys.argv[0] = f"awd-{name}"
    module = COMMANDS[name]
    source = importlib.util.find_spec(module).loader.get_source(module)
    text = ast.get_docstring(ast.parse(source), clean=False)
    for other, other_module in COMMANDS.items():
        text = re.sub(rf"python -m {re.escape(other_module)}(?![\w.])", f"awd-{other}", text)
    sys.modules["__main__"].__doc__ = text
    runpy.run_module(module, run_name="__main__")


# The scripts call trainers.console.train() and so on.
globals().update({name: functools.partial(run, name) for name in COMMANDS})
