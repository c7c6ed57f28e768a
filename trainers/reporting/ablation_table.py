"""The table of an ablation, beside the paper's: Markdown and HTML of the same numbers."""

import dataclasses
import statistics

from trainers.reporting.markup import Markup, element
from trainers.reporting.page_style import STYLE
from trainers.search.ablation_rows import ABLATION_ROWS, FULL

_NOTHING = "\N{EN DASH}"
_MINUS = "\N{MINUS SIGN}"
_PAPERS = {"ptb": "Penn Treebank", "wikitext2": "WikiText-2"}


@dataclasses.dataclass(frozen=True)
class AblationRun:
    """One run of a row.

    Args:
        seed: its seed.
        folder: its run folder, relative to the table's own folder.
        perplexities: None if it has no results yet, or (validation, test).
        diverged: whether its loss became no number.
    """

    seed: int
    folder: str
    perplexities: tuple | None = None
    diverged: bool = False


def ablation_markdown(runs, corpus, description):
    """The table as Markdown.

    Args:
        runs: a dictionary of row name to list of `AblationRun`, in the order of the table.
        corpus: name of the corpus, which chooses the column of the paper.
        description: a sentence on what was trained.

    Returns:
        a string.

    Example:

    >>> runs = {"full": [AblationRun(1, "full/seed-1", (100.0, 95.0))],
    ...         "no_ar_tar": [AblationRun(1, "no_ar_tar/seed-1", (103.5, 98.0))]}
    >>> print(ablation_markdown(runs, "ptb", "A test.").splitlines()[-4])
    | - AR/TAR | 103.50 | 98.00 | +3.50 | 62.7 / 60.3 | +2.7 | yes | [1](no_ar_tar/seed-1) |
    """
    headings, rows, remarks = _table(runs, corpus)
    lines = [description, "", f"| {' | '.join(headings)} |", f"|{' --- |' * len(headings)}"]
    for cells, links in rows:
        linked = " ".join(f"[{text}]({_quoted(folder)})" for text, folder in links)
        lines.append(f"| {' | '.join([*cells, linked])} |")
    return "\n".join([*lines, "", *remarks, ""])


def ablation_html(runs, corpus, description):
    """The table as a page of HTML, for the same arguments.

    Returns:
        a string.
    """
    headings, rows, remarks = _table(runs, corpus)
    head = element(
        "tr",
        [
            element(
                "th", text, class_="number" if 0 < index < len(headings) - 2 else None, scope="col"
            )
            for index, text in enumerate(headings)
        ],
    )
    body = []
    for (title, *cells), links in rows:
        body.append(
            element(
                "tr",
                element("th", title, scope="row"),
                [element("td", cell, class_="number") for cell in cells[:-1]],
                element("td", cells[-1]),
                element(
                    "td",
                    [
                        [element("a", text, href=_quoted(folder) + "/"), " "]
                        for text, folder in links
                    ],
                ),
            )
        )
    table = element("table", element("thead", head), element("tbody", body))
    page = element(
        "html",
        element(
            "head",
            element("meta", charset="utf-8"),
            element("title", "Ablation"),
            element("style", Markup(STYLE)),
        ),
        element(
            "body",
            element(
                "main",
                element("h1", "Ablation"),
                element("p", description),
                element("div", table, class_="scroll"),
                [element("p", remark, class_="note") for remark in remarks],
            ),
        ),
        lang="en",
    )
    return f"<!DOCTYPE html>\n{page}\n"


def _table(runs, corpus):
    """Headings, rows of (cells, links), and remarks below them."""
    paper = corpus if corpus in _PAPERS else "ptb"
    headings = [
        "row",
        "validation",
        "test",
        "change",
        f"paper, {_PAPERS[paper]}",
        "change",
        "same sign",
        "runs",
    ]
    means = {name: _mean(of_row, 0) for name, of_row in runs.items()}
    published = {name: ABLATION_ROWS[name].paper[paper] for name in runs}
    changes, published_changes = {}, {}
    for name in runs:
        if name != FULL:
            published_changes[name] = published[name][0] - ABLATION_ROWS[FULL].paper[paper][0]
            if None not in (means[name], means.get(FULL)):
                changes[name] = means[name] - means[FULL]
    rows = []
    for name, of_row in runs.items():
        same = _NOTHING
        if name in changes:
            same = "yes" if (changes[name] > 0) == (published_changes[name] > 0) else "no"
        cells = [
            ABLATION_ROWS[name].title,
            _spread(of_row, 0),
            _spread(of_row, 1),
            _signed(changes.get(name), 2),
            " / ".join(map(str, published[name])),
            _signed(published_changes.get(name), 1),
            same,
        ]
        rows.append((cells, [(str(run.seed), run.folder) for run in of_row]))
    return headings, rows, _remarks(runs, changes, published_changes)


def _remarks(runs, changes, published_changes):
    several = max((len(of_row) for of_row in runs.values()), default=0) > 1
    remarks = [
        "Perplexities, mean \N{PLUS-MINUS SIGN} standard deviation over the seeds; change: "
        "validation perplexity less that of the full model."
    ]
    if not several:
        remarks = [
            "Perplexities of one seed; change: validation perplexity less that of the full model."
        ]
    if changes:
        here = sorted(changes, key=changes.get, reverse=True)
        there = sorted(changes, key=published_changes.get, reverse=True)
        remarks += [
            f"By size of the change, here: {_titles(here)}. In the paper: {_titles(there)}."
        ]
    return remarks


def _titles(names):
    return ", ".join(ABLATION_ROWS[name].title.removeprefix("- ") for name in names)


def _mean(runs, index):
    values = [run.perplexities[index] for run in runs if run.perplexities]
    return statistics.fmean(values) if values else None


def _spread(runs, index):
    values = [run.perplexities[index] for run in runs if run.perplexities]
    parts = []
    if values:
        parts.append(f"{statistics.fmean(values):.2f}")
    if len(values) > 1:
        parts.append(f"\N{PLUS-MINUS SIGN} {statistics.stdev(values):.2f}")
    diverged = sum(run.diverged for run in runs)
    missing = len(runs) - len(values) - diverged
    notes = [
        f"{count} {what}" for count, what in ((diverged, "diverged"), (missing, "to come")) if count
    ]
    if notes:
        parts.append(f"({', '.join(notes)})")
    return " ".join(parts)


def _signed(value, digits):
    if value is None:
        return _NOTHING
    return f"{value:+.{digits}f}".replace("-", _MINUS)


def _quoted(folder):
    return folder.replace(" ", "%20")
