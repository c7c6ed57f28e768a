"""Evaluation of trained models: perplexity, cache, dynamic evaluation, line scores."""

from awd_keras.evaluation.continuous_cache import ContinuousCache
from awd_keras.evaluation.dynamic_evaluation import DynamicEvaluation
from awd_keras.evaluation.evaluate import EvaluationResult, Evaluator, evaluate, perplexity
from awd_keras.evaluation.line_scorer import LineScore, LineScorer
from awd_keras.evaluation.reranking import Hypothesis, rerank
from awd_keras.evaluation.scorer import Scorer, TokenScores
from awd_keras.evaluation.search import search
from awd_keras.evaluation.weight_tuning import TunedWeights, tune_weights, word_errors

__all__ = [
    "ContinuousCache",
    "DynamicEvaluation",
    "EvaluationResult",
    "Evaluator",
    "Hypothesis",
    "LineScore",
    "LineScorer",
    "Scorer",
    "TokenScores",
    "TunedWeights",
    "evaluate",
    "perplexity",
    "rerank",
    "search",
    "tune_weights",
    "word_errors",
]
