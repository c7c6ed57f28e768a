"""Metrics of language models."""

from awd_keras.metrics.perplexity import Perplexity

__all__ = ["Perplexity"]
