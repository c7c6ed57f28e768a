"""Renders the report with the template `report.html.j2`."""

import dataclasses
import io
import pathlib
import re

import jinja2
import markupsafe

from trainers.config import TrainingConfig
from trainers.reporting.stages import KINDS, TEXTS
from trainers.training import curves as figures
from trainers.training.progress import duration

# Settings that do not influence the trained model.
_IRRELEVANT = ("data_dir", "dtype", "initial_run", "validation_batch_size", "test_batch_size")


def render_page(runs, curves=None):
    """Renders the report on runs, as read by `trainers.commands.report`, as one HTML page."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(pathlib.Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(setting=_setting, duration=duration)
    return environment.get_template("report.html.j2").render(
        runs=runs,
        kinds=KINDS,
        texts=TEXTS,
        published={name: preset for run in runs for name, preset in run["published"].items()},
        differences={
            (name, run["name"]): _differences(preset.config, run["config"])
            for run in runs
            for name, preset in run["published"].items()
        },
        sections=_settings_by_section([run["config"] for run in runs]),
        curves=None if curves is None else markupsafe.Markup(curves),
    )


def curves_svg(runs):
    """Draws perplexity against epochs as an `<svg>`; returns `None` without matplotlib."""
    if figures.matplotlib is None:
        return None
    figure = figures.make_figure(runs, size=(9, 4.6 + 0.15 * len(runs)), training=True)
    settings = {"svg.fonttype": "none", "svg.hashsalt": "awd_keras", "font.family": "sans-serif"}
    file = io.StringIO()
    with figures.matplotlib.rc_context(settings):
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    svg = file.getvalue()
    # Remove the XML declaration, the metadata and the fixed size.
    svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    return re.sub(r' (width|height)="[^"]*pt"', "", svg, count=2)


def _differences(published, config):
    return [
        f"{field.name} {_setting(getattr(published, field.name))} \N{RIGHTWARDS ARROW} "
        f"{_setting(getattr(config, field.name))}"
        for field in dataclasses.fields(TrainingConfig)
        if getattr(published, field.name) != getattr(config, field.name)
        and field.metadata["section"] != "Logging"
        and field.name not in _IRRELEVANT
    ]


def _settings_by_section(configs):
    sections = {}
    for field in dataclasses.fields(TrainingConfig):
        values = [getattr(config, field.name) for config in configs]
        sections.setdefault(field.metadata["section"], []).append(
            {"name": field.name, "help": field.metadata["help"], "values": values}
        )
    return sections


def _setting(value):
    if value is None or value == ():
        return "\N{EN DASH}"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)
