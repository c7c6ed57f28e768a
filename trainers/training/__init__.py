"""The training loop and the run folder."""

from trainers.training.checkpoint import read_checkpoint, write_checkpoint
from trainers.training.loop import train_and_evaluate
from trainers.training.run_folder import RecordedFolder, RunFolder

__all__ = [
    "RecordedFolder",
    "RunFolder",
    "read_checkpoint",
    "train_and_evaluate",
    "write_checkpoint",
]
