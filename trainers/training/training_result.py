"""How a run ended."""

import dataclasses

from awd_keras.evaluation.evaluate import EvaluationResult


@dataclasses.dataclass(frozen=True)
class TrainingResult:
    """How a run ended, as results.json has it.

    Args:
        reason: "finished" or "interrupted".
        epochs: epochs trained, a float if one is incomplete.
        triggered_at_step: step at which averaging was switched on, or None.
        stopped_at_step: step at which `stop` ended the run before its last epoch, or None.
        validation: `EvaluationResult` of the best weights.
        test: the same on the test text.
    """

    reason: str
    epochs: float
    triggered_at_step: int | None
    stopped_at_step: int | None
    validation: EvaluationResult
    test: EvaluationResult

    def to_dict(self):
        return {
            "reason": self.reason,
            "epochs": self.epochs,
            "triggered_at_step": self.triggered_at_step,
            "stopped_at_step": self.stopped_at_step,
            "validation": self.validation.to_dict(),
            "test": self.test.to_dict(),
        }
