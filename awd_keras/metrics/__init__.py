"""Metrics."""

from awd_keras.metrics.perplexity import Perplexity

__all__ = ["Perplexity"]
