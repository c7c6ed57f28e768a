"""Command-line flags for the settings: one flag for each field of `TrainingConfig`."""

import dataclasses
import os
import types
import typing

from absl import flags

from trainers import cli
from trainers.config import TrainingConfig
from trainers.presets import PRESETS, RECIPES

_FLAGS = flags.FLAGS


def define_training_flags(default_preset):
    """Defines the flags of the commands that train a model."""
    define_run_flags(default_preset)
    with cli.section("Run"):
        define_end_flags()
        help = (
            "one device, all GPUs in this machine, or the machines in TF_CONFIG, which share the "
            "run folder. Replicas take equal parts of the batch; their number may change on resume"
        )
        flags.DEFINE_enum("strategy", "one", ["one", "mirrored", "multi_worker"], help)


def define_end_flags():
    """Defines the flags on the best weights of a run."""
    flags.DEFINE_bool("test", True, "evaluate the best weights on the test text at the end")
    help = "if the best weights of the run are lost, take the last ones as the best so far"
    flags.DEFINE_bool("forget_best", False, help)


def define_run_flags(default_preset):
    """Defines `--workdir`, `--resume` and the flags of `define_config_flags`."""
    define_config_flags(default_preset)
    with cli.section("Run"):
        flags.DEFINE_string("workdir", None, "run folder; default: runs/<preset>[-<recipe>]")
        flags.DEFINE_bool(
            "resume", True, "resume any work in --workdir; with --noresume, fail instead"
        )


def define_config_flags(default_preset):
    """Defines `--preset`, `--recipe` and a flag for each setting."""
    for name, default, table, help_text in (
        ("preset", default_preset, PRESETS, "settings to start from"),
        ("recipe", "paper", RECIPES, "changes to the preset"),
    ):
        entries = "; ".join(f"{key}: {entry.description}" for key, entry in table.items())
        flags.DEFINE_enum(name, default, list(table), f"{help_text}. {entries}")
    defaults = PRESETS[default_preset].config
    for field in dataclasses.fields(TrainingConfig):
        define_config_flag(field, getattr(defaults, field.name))


def define_config_flag(field, default):
    """Defines the flag of a field of `TrainingConfig`."""
    text = field.metadata["help"]
    if field.metadata["reference"]:
        text += f" (the authors' --{field.metadata['reference']})"
    kind = field.type
    if isinstance(kind, types.UnionType):
        kind = next(option for option in typing.get_args(kind) if option is not type(None))
    with cli.section(field.metadata["section"]):
        if field.metadata["choices"]:
            flags.DEFINE_enum(field.name, default, field.metadata["choices"], text)
        elif typing.get_origin(kind) is tuple:
            default = None if default is None else [str(value) for value in default]
            flags.DEFINE_list(field.name, default, text)
        else:
            name = {bool: "bool", int: "integer", float: "float", str: "string"}[kind]
            getattr(flags, f"DEFINE_{name}")(field.name, default, text)
    if kind is int:
        is_valid, expected = field.metadata["check"]

        def is_none_or_valid(value):
            return value is None or is_valid(value)

        flags.register_validator(field.name, is_none_or_valid, f"must be {expected}")


def config_from_flags():
    """Returns the `TrainingConfig`: the preset, changed by the recipe and the given flags."""
    changes = {**RECIPES[_FLAGS.recipe].changes, **given_settings()}
    return PRESETS[_FLAGS.preset].config.replace(**changes)


def given_settings():
    """Returns the settings given as flags, a dictionary of name to value."""
    given = {
        field.name: getattr(_FLAGS, field.name)
        for field in dataclasses.fields(TrainingConfig)
        if field.name in _FLAGS and _FLAGS[field.name].present
    }
    for name, values in given.items():
        if isinstance(values, list) and all(map(str.isdecimal, values)):
            given[name] = tuple(map(int, values))
    return given


def default_workdir():
    """Returns the run folder used without `--workdir`, named after the preset and the recipe."""
    suffix = "" if _FLAGS.recipe == "paper" else f"-{_FLAGS.recipe}"
    return os.path.join("runs", _FLAGS.preset + suffix)


def flags_of(config):
    """Returns the flags of a training command for a `TrainingConfig`."""
    given = ["--preset=ptb"]  # whose settings are the defaults
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if value != field.default:
            text = ",".join(map(str, value)) if isinstance(value, tuple) else value
            given.append(f"--{field.name}={text}")
    return given
