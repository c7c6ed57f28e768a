"""A page on trained runs: what was set, what came out, where the model errs."""

from trainers.reporting.ablation_table import AblationRun, ablation_html, ablation_markdown
from trainers.reporting.curves_svg import curves_svg
from trainers.reporting.page import render_page
from trainers.reporting.run_report import RunReport, WordTables
from trainers.reporting.stages import (
    Stage,
    baseline,
    published_presets,
    read_cache_settings,
    read_stages,
)
from trainers.reporting.word_losses import WordLosses, WordRow

__all__ = [
    "AblationRun",
    "RunReport",
    "Stage",
    "WordLosses",
    "WordRow",
    "WordTables",
    "ablation_html",
    "ablation_markdown",
    "baseline",
    "curves_svg",
    "published_presets",
    "read_cache_settings",
    "read_stages",
    "render_page",
]
