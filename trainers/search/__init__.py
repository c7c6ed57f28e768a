"""Hyperparameter search, ablation and the learning-rate range test."""
