"""Tests of what a validation leaves: a row, a line, scalars."""

import io

import pytest

from awd_keras.evaluation.evaluate import EvaluationResult
from trainers.config import TrainingConfig
from trainers.training.metrics_log import MetricsLog
from trainers.training.progress import Progress
from trainers.training.run_folder import METRICS_COLUMNS, RunFolder
from trainers.training.training_state import TrainingState


def make_log(tmp_path, **settings):
    folder, stream = RunFolder(tmp_path), io.StringIO()
    folder.cut_metrics(0)
    config = TrainingConfig(epochs=4, **settings)
    log = MetricsLog(config, folder, Progress(stream=stream), 200, TrainingState(seconds=50.0))
    return log, folder, stream


def write(log, averaging):
    state = TrainingState(epoch=1, position=50, step=9, tokens=500, loss_sum=30.0, loss_tokens=10)
    log.write(state, 30.0, EvaluationResult(20.0, 10), EvaluationResult(25.0, 10), averaging, 7)


def test_row_has_all_columns_and_digits(tmp_path):
    log, folder, _ = make_log(tmp_path)
    write(log, averaging=True)
    (row,) = folder.read_metrics()
    assert tuple(row) == METRICS_COLUMNS
    assert (row["epoch"], row["step"], row["averaging"]) == ("1.25", "9", "1")
    assert float(row["train_loss"]) == 3.0 and float(row["validation_loss"]) == 2.0
    assert float(row["validation_perplexity"]) == EvaluationResult(20.0, 10).perplexity
    assert float(row["raw_validation_perplexity"]) == EvaluationResult(25.0, 10).perplexity
    assert float(row["seconds"]) >= 50.0


@pytest.mark.parametrize("averaging", [False, True])
def test_line_speaks_of_the_average_only_when_there_is_one(tmp_path, averaging):
    log, _, stream = make_log(tmp_path)
    write(log, averaging)
    line = stream.getvalue()
    assert "validation perplexity    7.39" in line
    assert ("average of 7 steps; raw 12.18" in line) == averaging


@pytest.mark.parametrize("tensorboard", [False, True])
def test_events(tmp_path, tensorboard):
    log, folder, _ = make_log(tmp_path, tensorboard=tensorboard)
    write(log, averaging=False)
    assert folder.events.exists() == tensorboard
    if tensorboard:
        (file,) = folder.events.iterdir()
        assert b"perplexity/validation" in file.read_bytes()


def test_events_that_cannot_be_written_are_an_os_error(tmp_path):
    log, folder, _ = make_log(tmp_path)
    folder.events.write_text("a file where the folder should be")
    with pytest.raises(OSError, match="events"):
        write(log, averaging=False)


def test_epochs(tmp_path):
    log, _, _ = make_log(tmp_path)
    whole = log.epochs(TrainingState(epoch=2))
    assert whole == 2 and isinstance(whole, int)
    assert log.epochs(TrainingState(epoch=2, position=100)) == 2.5
