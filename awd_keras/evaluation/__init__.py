"""Evaluation of trained models: perplexity, cache, dynamic evaluation, line scores."""

from awd_keras.evaluation.continuous_cache import ContinuousCache
from awd_keras.evaluation.dynamic_evaluation import DynamicEvaluation
from awd_keras.evaluation.evaluate import EvaluationResult, Evaluator, evaluate, perplexity
from awd_keras.evaluation.line_scorer import LineScore, LineScorer
from awd_keras.evaluation.reranking import rerank
from awd_keras.evaluation.scorer import Scorer, TokenScores
from awd_keras.evaluation.search import search

__all__ = [
    "ContinuousCache",
    "DynamicEvaluation",
    "EvaluationResult",
    "Evaluator",
    "LineScore",
    "LineScorer",
    "Scorer",
    "TokenScores",
    "evaluate",
    "perplexity",
    "rerank",
    "search",
]
