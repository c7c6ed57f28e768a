"""Tests of how a run ended, as results.json has it."""

import dataclasses
import json

from awd_keras.evaluation import EvaluationResult
from trainers.training.training_result import TrainingResult


def test_every_field_survives_json():
    result = TrainingResult(
        reason="interrupted",
        epochs=1.5,
        triggered_at_step=120,
        stopped_at_step=None,
        validation=EvaluationResult(total_loss=20.0, num_tokens=10),
        test=EvaluationResult(total_loss=33.0, num_tokens=11),
    )
    content = result.to_dict()
    assert list(content) == [field.name for field in dataclasses.fields(result)]
    assert json.loads(json.dumps(content)) == {
        "reason": "interrupted",
        "epochs": 1.5,
        "triggered_at_step": 120,
        "stopped_at_step": None,
        "validation": result.validation.to_dict(),
        "test": result.test.to_dict(),
    }
    assert (content["validation"]["loss"], content["test"]["loss"]) == (2.0, 3.0)
