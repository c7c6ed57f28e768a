"""Procedures that measure a trained model."""

from awd_keras.evaluation.continuous_cache import ContinuousCache
from awd_keras.evaluation.dynamic_evaluation import DynamicEvaluation
from awd_keras.evaluation.evaluate import EvaluationResult, Evaluator, evaluate, perplexity
from awd_keras.evaluation.reranking import Hypothesis, rerank
from awd_keras.evaluation.scorer import Scorer, TokenScores
from awd_keras.evaluation.scoring import LineScore, LineScorer, decoded_lines
from awd_keras.evaluation.search import Trial, search
from awd_keras.evaluation.summary import Summary, bits, has_characters
from awd_keras.evaluation.token_table import TokenTable

__all__ = [
    "ContinuousCache",
    "DynamicEvaluation",
    "EvaluationResult",
    "Evaluator",
    "Hypothesis",
    "LineScore",
    "LineScorer",
    "Scorer",
    "Summary",
    "TokenScores",
    "TokenTable",
    "Trial",
    "bits",
    "decoded_lines",
    "evaluate",
    "has_characters",
    "perplexity",
    "rerank",
    "search",
]
