"""The curves of runs as SVG that stands inside a page."""

import io
import re

from trainers.reporting.markup import Markup
from trainers.training.curves import make_figure

_WIDTH, _HEIGHT, _HEIGHT_PER_RUN = 9, 4.6, 0.15  # inches


def curves_svg(runs):
    """Draws the perplexities of runs against epochs, training and validation.

    The text in it stays text; the same runs give the same characters.

    Args:
        runs: a dictionary of name to rows of metrics.csv, at least one row each.

    Returns:
        `Markup`, an `svg` element that takes the width of where it stands.

    Raises:
        ImportError: if matplotlib is not installed.
    """
    figure = make_figure(runs, size=(_WIDTH, _HEIGHT + _HEIGHT_PER_RUN * len(runs)), training=True)
    import matplotlib

    settings = {"svg.fonttype": "none", "svg.hashsalt": "awd_keras", "font.family": "sans-serif"}
    file = io.StringIO()
    with matplotlib.rc_context(settings):
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    svg = file.getvalue()
    # Without the XML head, and without metadata: both have addresses that nobody should look up.
    svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    svg = re.sub(r' (width|height)="[^"]*pt"', "", svg, count=2)
    label = f"perplexity of {', '.join(runs)} against epochs"
    opening = '<svg role="img" aria-label="{}" '
    return Markup(svg.replace("<svg ", opening.format(_attribute(label)), 1))


def _attribute(text):
    return text.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")
