"""The training loop and what it keeps on disk."""

from awd_keras.training.checkpoint import CheckpointError, read_checkpoint, write_checkpoint
from awd_keras.training.divergence import NonFiniteLossError
from awd_keras.training.learning_rate_range import LearningRateRange, learning_rate_range_test
from awd_keras.training.learning_rate_range import suggest as suggest_learning_rates
from awd_keras.training.loop import train_and_evaluate
from awd_keras.training.run_folder import RunFolder, RunFolderError
from awd_keras.training.train_step import make_train_step
from awd_keras.training.training_result import TrainingResult

__all__ = [
    "CheckpointError",
    "LearningRateRange",
    "NonFiniteLossError",
    "RunFolder",
    "RunFolderError",
    "TrainingResult",
    "learning_rate_range_test",
    "make_train_step",
    "read_checkpoint",
    "suggest_learning_rates",
    "train_and_evaluate",
    "write_checkpoint",
]
