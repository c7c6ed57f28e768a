"""Procedures that measure a trained model."""

from awd_keras.evaluation.evaluate import EvaluationResult, Evaluator, evaluate

__all__ = ["EvaluationResult", "Evaluator", "evaluate"]
