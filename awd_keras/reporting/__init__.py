"""A page on trained runs: what was set, what came out, where the model errs."""

from awd_keras.reporting.ablation_table import AblationRun, ablation_html, ablation_markdown
from awd_keras.reporting.curves_svg import curves_svg
from awd_keras.reporting.page import render_page
from awd_keras.reporting.run_report import RunReport, WordTables
from awd_keras.reporting.stages import (
    Stage,
    baseline,
    published_presets,
    read_cache_settings,
    read_stages,
)
from awd_keras.reporting.word_losses import WordLosses, WordRow

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
