"""Tests of the pictures of a run: its curves, and TensorBoard's."""

import io
import sys

import pytest

from tests.trainers.training.tiny import make_config, run
from trainers.training import RunFolder, curves


class TestPictures:
    def test_curves_and_events(self, tmp_path):
        config = make_config(epochs=2, trigger="epoch:1", tensorboard=True, plot=True)
        stream = io.StringIO()
        run(tmp_path, config, stream=stream)
        folder = RunFolder(tmp_path)
        assert list(folder.events.iterdir())
        pytest.importorskip("matplotlib")
        assert folder.curves_file.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
        assert f"curves: {folder.curves_file}" in stream.getvalue()

    def test_without_matplotlib_the_run_ends_well(self, tmp_path, monkeypatch):
        monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
        stream = io.StringIO()
        assert run(tmp_path, make_config(epochs=1, plot=True), stream=stream).reason == "finished"
        assert not RunFolder(tmp_path).curves_file.exists()
        assert "curves: not drawn" in stream.getvalue()

    def test_infinite_perplexities_can_be_drawn(self, unbroken, tmp_path):
        pytest.importorskip("matplotlib")
        rows = unbroken("epoch")[0].read_metrics()
        rows[0] = {**rows[0], "validation_perplexity": "inf", "raw_validation_perplexity": "inf"}
        assert curves.draw_curves(tmp_path / "a.png", rows, "title", ("baseline", 10.0))
        assert [path.name for path in tmp_path.iterdir()] == ["a.png"]

    @pytest.mark.parametrize(("averaging", "mark"), [("011", 1.0), ("001", 2.0), ("111", 0.0)])
    def test_the_mark_is_where_the_averaging_starts(self, monkeypatch, averaging, mark):
        pytest.importorskip("matplotlib")
        columns = ("validation_perplexity", "raw_validation_perplexity", "train_loss")
        rows = [
            {**dict.fromkeys(columns, "5.0"), "epoch": f"{epoch}", "averaging": state}
            for epoch, state in enumerate(averaging, 1)
        ]
        marks = []
        monkeypatch.setattr("matplotlib.axes.Axes.axvline", lambda _, x, **style: marks.append(x))
        curves.make_figure({"": rows})
        assert marks == [mark]

    def test_nothing_to_draw(self, tmp_path):
        pytest.importorskip("matplotlib")
        assert not curves.draw_curves(tmp_path / "a.png", [], "title")
        assert not (tmp_path / "a.png").exists()
