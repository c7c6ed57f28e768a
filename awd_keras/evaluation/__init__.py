"""Procedures that measure a trained model."""

from awd_keras.evaluation.evaluate import EvaluationResult, Evaluator, evaluate
from awd_keras.evaluation.reranking import Hypothesis, rerank
from awd_keras.evaluation.scoring import LineScore, LineScorer, decoded_lines

__all__ = [
    "EvaluationResult",
    "Evaluator",
    "Hypothesis",
    "LineScore",
    "LineScorer",
    "decoded_lines",
    "evaluate",
    "rerank",
]
