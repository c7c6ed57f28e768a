"""The tables of the page."""

import dataclasses

from trainers.config import TrainingConfig
from trainers.reporting.markup import element
from trainers.reporting.stages import KINDS, TEXTS
from trainers.training.progress import duration

_NOTHING = "\N{EN DASH}"
# Settings that say nothing about the model that comes out.
_UNRELATED = ("data_dir", "dtype", "initial_run", "validation_batch_size", "test_batch_size")


def table(headings, rows, class_=None):
    """A table whose columns beside the first are numbers.

    Args:
        headings: texts.
        rows: `tr` elements.
        class_: None, or a class of the table.

    Returns:
        `Markup`.
    """
    cells = [
        element("th", text, class_="number" if index else None, scope="col")
        for index, text in enumerate(headings)
    ]
    body = element("tbody", rows)
    whole = element("table", element("thead", element("tr", cells)), body, class_=class_)
    return element("div", whole, class_="scroll")


def row(head, *numbers, class_=None):
    """A row of a `table`: its head, and numbers in words or ready cells."""
    cells = [element("td", number, class_="number") for number in numbers]
    return element("tr", element("th", head, scope="row"), cells, class_=class_)


def group_row(title, width):
    """A row that says what those below it have in common."""
    return element("tr", element("th", title, class_="group", colspan=width, scope="rowgroup"))


def runs_table(reports):
    """What was trained, a row for each run."""
    rows = []
    for report in reports:
        config, results, metrics = report.config, report.results, report.metrics
        tied = "" if config.tie_weights else ", not tied"
        layers = f"{config.num_layers} LSTMs, {config.embedding_dim}/{config.hidden_dim}{tied}"
        triggered = results["triggered_at_step"] if results else None
        rows.append(
            row(
                [report.name, element("span", f"{layers}, {config.dtype}", class_="detail")],
                f"{report.num_parameters:,}",
                _epochs(results, metrics),
                duration(float(metrics[-1]["seconds"])) if metrics else _NOTHING,
                _NOTHING if triggered is None else f"step {triggered:,}",
            )
        )
    return table(("run", "parameters", "epochs", "time", "averaging from"), rows)


def _epochs(results, metrics):
    if results:
        return f"{results['epochs']:.4g}"
    return f"{float(metrics[-1]['epoch']):.4g} so far" if metrics else _NOTHING


def stages_table(reports):
    """Perplexities of each run at each stage, beside the published ones."""
    published = {name: preset for report in reports for name, preset in report.published}
    headings = ["stage", "validation", "test", *(preset.source for preset in published.values())]
    rows = []
    for report in reports:
        if len(reports) > 1:
            rows.append(group_row(report.name, len(headings)))
        if report.baseline is not None:
            name, perplexities = report.baseline
            measured = [f"{perplexities[text]:,.1f}" for text in TEXTS]
            rows.append(row(name, *measured, *[_NOTHING] * len(published)))
        compared = dict(report.published)
        for kind in KINDS:
            expected = [
                compared[name].expected.get(kind) if name in compared else None
                for name in published
            ]
            rows += _stage_rows(report, kind, expected)
    return table(headings, rows, "stages")


def _stage_rows(report, kind, expected):
    stages = [stage for stage in report.stages if stage.kind == kind]
    # The published cache is on top of fine-tuning: it stands beside the last of a kind.
    beside = [_pair(pair) for pair in expected]
    if not stages:
        return [row(kind, _NOTHING, _NOTHING, *beside, class_="dim")]
    rows = []
    for stage in stages:
        is_last = stage is stages[-1]
        fine_tuned = stage.weights == "fine-tuned" != kind
        detail = "; ".join(filter(None, ["fine-tuned weights" * fine_tuned, stage.settings]))
        head = [kind, element("span", detail, class_="detail") if detail else None]
        measured = [_perplexity(stage.perplexities.get(text)) for text in TEXTS]
        rows.append(row(head, *measured, *(beside if is_last else [_NOTHING] * len(beside))))
    return rows


def _perplexity(value):
    if value is None:
        return _NOTHING
    return element("span", f"{value:,.2f}", class_="strong")


def _pair(pair):
    return _NOTHING if pair is None else f"{pair[0]} / {pair[1]}"


def published_differences(report):
    """How a run differs from the published ones it stands beside.

    Args:
        report: `RunReport`.

    Returns:
        a list of (name of the preset, ["setting published \N{RIGHTWARDS ARROW} here"]).
    """
    found = []
    for name, preset in report.published:
        published, ours = preset.config.to_dict(), report.config.to_dict()
        texts = [
            f"{field.name} {_value(published[field.name])} \N{RIGHTWARDS ARROW} "
            f"{_value(ours[field.name])}"
            for field in dataclasses.fields(TrainingConfig)
            if published[field.name] != ours[field.name]
            and field.metadata["section"] != "Logging"
            and field.name not in _UNRELATED
        ]
        found.append((name, texts))
    return found


def words_table(rows, by, loss_class=None):
    """A table of words.

    Args:
        rows: `WordRow` objects.
        by: "total", "mean" or "gain": the number by which they are sorted, drawn as a bar.
        loss_class: None, or the class of the table.

    Returns:
        `Markup`.
    """
    largest = max((abs(getattr(r, by)) for r in rows), default=0) or 1
    headings = {
        "total": ("word", "count", "nats each", "nats in all"),
        "mean": ("word", "count", "nats in all", "nats each"),
        "gain": ("word", "count", "nats in all"),
    }[by]
    lines = []
    for r in rows:
        value = getattr(r, by)
        bar = element("span", class_="bar", style=f"width:{abs(value) / largest:.0%}")
        other = {"total": f"{r.mean:.2f}", "mean": f"{r.total:,.1f}"}.get(by)
        numbers = [f"{r.count:,}", *filter(None, [other])]
        shown = format(value, {"total": ",.1f", "mean": ",.2f", "gain": "+,.1f"}[by])
        shown = shown.replace("-", "\N{MINUS SIGN}")
        lines.append(row(element("span", r.word, class_="word"), *numbers, [shown, bar]))
    return table(headings, lines, loss_class)


def settings_by_section(reports):
    """The settings, a column for each run; those that differ are marked.

    Args:
        reports: `RunReport` objects.

    Returns:
        a dictionary of section to rows of a `table`.
    """
    settings = [report.config.to_dict() for report in reports]
    sections = {}
    for field in dataclasses.fields(TrainingConfig):
        values = [_value(each[field.name]) for each in settings]
        head = element("code", field.name, title=field.metadata["help"])
        line = row(head, *values, class_="differs" if len(set(values)) > 1 else None)
        sections.setdefault(field.metadata["section"], []).append(line)
    return sections


def _value(value):
    if value is None or value == []:
        return _NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)
