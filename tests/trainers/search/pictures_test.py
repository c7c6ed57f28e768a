"""Tests of what is drawn of a search, and of what TensorBoard sees of it."""

import pytest

from trainers import search as tuning
from trainers.config import TrainingConfig
from trainers.search import TrialResult, draw_search


def result(index, perplexity=None, status="COMPLETED", epochs=2, **settings):
    return TrialResult(str(index), status, epochs, perplexity, settings)


class TestPicture:
    def test_drawn(self, tmp_path):
        pytest.importorskip("matplotlib")
        found = [
            result(
                i,
                100.0 + i,
                learning_rate=1.5 + i,
                tie_weights=bool(i % 2),
                bptt=20 + i,
                weight_decay=1e-6 * (i + 1),
            )
            for i in range(6)
        ]
        assert draw_search(tmp_path / "search.png", found, TrainingConfig())
        assert (tmp_path / "search.png").read_bytes().startswith(b"\x89PNG")
        assert len(list(tmp_path.iterdir())) == 1

    def test_nothing_to_draw(self, tmp_path):
        assert not draw_search(tmp_path / "search.png", [], TrainingConfig())
        assert not (tmp_path / "search.png").exists()


def test_hparams_are_written(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    result = tuning.TrialResult("3", "COMPLETED", 2, 98.5, {"ar_alpha": 2.0, "tie_weights": True})
    tuning.write_hparams(tmp_path / "events", result)
    events = EventAccumulator(str(tmp_path / "events"))
    events.Reload()
    assert "_hparams_/session_start_info" in events.summary_metadata
    assert "validation_perplexity" in events.Tags()["tensors"]
