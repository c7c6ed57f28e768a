"""The training loop and what it keeps on disk."""

from awd_keras.training.checkpoint import CheckpointError, read_checkpoint, write_checkpoint
from awd_keras.training.divergence import NonFiniteLossError
from awd_keras.training.loop import train_and_evaluate
from awd_keras.training.run_folder import RunFolder, RunFolderError
from awd_keras.training.train_step import make_train_step
from awd_keras.training.training_result import TrainingResult

__all__ = [
    "CheckpointError",
    "NonFiniteLossError",
    "RunFolder",
    "RunFolderError",
    "TrainingResult",
    "make_train_step",
    "read_checkpoint",
    "train_and_evaluate",
    "write_checkpoint",
]
