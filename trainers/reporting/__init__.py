"""The HTML report on trained runs."""

from trainers.reporting.page import curves_svg, render_page
from trainers.reporting.stages import read_cache_settings, read_stages
from trainers.reporting.word_losses import WordLosses

__all__ = ["WordLosses", "curves_svg", "read_cache_settings", "read_stages", "render_page"]
