"""One page on one or more runs, in HTML that needs nothing but itself."""

from trainers.reporting import tables
from trainers.reporting.markup import Markup, element, join
from trainers.reporting.page_style import STYLE
from trainers.reporting.stages import KINDS

_SECTIONS = ("Perplexities", "Curves", "Samples", "Words", "Configuration")


def render_page(reports, curves=None, curves_missing=""):
    """Renders the page.

    Args:
        reports: `RunReport` objects, at least one.
        curves: None, or `Markup` with the picture.
        curves_missing: why there is no picture.

    Returns:
        a string: a whole HTML document, the same for the same arguments.
    """
    names = ", ".join(report.name for report in reports)
    head = [
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        # No icon: without this line a browser would ask a server for one.
        element("link", rel="icon", href="data:,"),
        element("title", f"AWD-LSTM report: {names}"),
        element("style", Markup(f"\n{STYLE}\n")),
    ]
    body = [
        _header(reports),
        _section("Perplexities", _perplexities(reports)),
        _section("Curves", _curves(reports, curves, curves_missing)),
        _section("Samples", [_of_run(reports, report, _samples(report)) for report in reports]),
        _section("Words", [_of_run(reports, report, _words(report)) for report in reports]),
        _section("Configuration", _configuration(reports)),
    ]
    page = element("html", element("head", head), element("body", element("main", body)), lang="en")
    return f"<!DOCTYPE html>\n{page}\n"


def _section(title, content):
    return element("section", element("h2", title), content, id=title.lower())


def _of_run(reports, report, content):
    heading = element("h3", report.name) if len(reports) > 1 else None
    return element("article", heading, content)


def _header(reports):
    first = reports[0]
    corpora = dict.fromkeys(report.corpus for report in reports)
    facts = f"{', '.join(corpora)}, {first.vocabulary_size:,} words"
    links = [element("a", title, href=f"#{title.lower()}") for title in _SECTIONS]
    return element(
        "header",
        element("h1", "AWD-LSTM report"),
        element("p", facts, class_="soft"),
        element("nav", join(links, " ")),
        tables.runs_table(reports),
    )


def _perplexities(reports):
    notes = []
    if any(len({stage.kind for stage in report.stages}) < len(KINDS) for report in reports):
        code = [
            element("code", text)
            for text in ("trainers.finetune", "trainers.evaluate", "--cache", "--dyneval")
        ]
        notes.append(
            _note(
                "A dash stands for what was not measured yet: ",
                code[0],
                " and ",
                code[1],
                " (",
                code[2],
                ", ",
                code[3],
                ") do that.",
            )
        )
    if any(report.published for report in reports):
        notes.append(
            _note(
                "The last columns are published numbers, validation / test; the cache's are on "
                "fine-tuned weights."
            )
        )
    for report in reports:
        run = report.name if len(reports) > 1 else "this run"
        for name, texts in tables.published_differences(report):
            differs = ", ".join(texts) or "the same settings"
            notes.append(_note(f"From the preset {name} to {run}: {differs}."))
    return [tables.stages_table(reports), notes]


def _curves(reports, curves, missing):
    if curves is None:
        return _note(f"Not drawn: {missing}.")
    note = "The loss of training is that of the step, with dropout and raw weights."
    return [element("figure", element("div", curves, class_="scroll")), _note(note)]


def _samples(report):
    if not report.samples:
        return _note("None were asked for.")
    items = [
        element("li", " ".join(text.words), None if text.finished else " \N{HORIZONTAL ELLIPSIS}")
        for text in report.samples
    ]
    note = _note(f"Lines from the model's own distribution, seed {report.seed}.")
    return [note, element("ol", items, class_="samples")]


def _words(report):
    words = report.words
    if words is None:
        return _note("The text was not read.")
    intro = (
        f"{words.num_tokens:,} words of {words.text}: perplexity {words.perplexity:,.2f}, with the "
        f"cache {words.perplexity_with_cache:,.2f} ({words.cache})."
    )
    panels = [
        ("Hardest in all", tables.words_table(words.by_total, "total")),
        (
            f"Hardest each time, of those met at least {words.min_count} times",
            tables.words_table(words.by_mean, "mean"),
        ),
        ("The cache saves most", tables.words_table(words.gained, "gain")),
        ("The cache costs most", tables.words_table(words.lost, "gain", "lost")),
    ]
    grid = [element("div", element("h3", title), content) for title, content in panels]
    return [_note(intro), element("div", grid, class_="grid")]


def _configuration(reports):
    sections = tables.settings_by_section(reports)
    if len(reports) == 1:
        panels = [
            element(
                "div",
                element("h3", title),
                tables.table(("setting", "value"), rows, "settings"),
            )
            for title, rows in sections.items()
        ]
        return element("div", panels, class_="grid")
    headings = ["setting", *(report.name for report in reports)]
    rows = [(tables.group_row(title, len(headings)), rows) for title, rows in sections.items()]
    note = _note("Settings in which the runs differ are marked.")
    return [note, tables.table(headings, rows, "settings")]


def _note(*content):
    return element("p", *content, class_="note")
