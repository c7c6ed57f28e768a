"""Penalties on activations."""

from awd_keras.losses.activation_regularization import (
    activation_regularization,
    temporal_activation_regularization,
)

__all__ = ["activation_regularization", "temporal_activation_regularization"]
