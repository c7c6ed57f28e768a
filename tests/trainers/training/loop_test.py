"""Tests of the loop: what an uninterrupted run does, shows and leaves behind."""

import io
import math
import re

import numpy as np
import pytest

from awd_keras.data.batching import batchify, bptt_windows
from awd_keras.evaluation import evaluate
from awd_keras.models import AWDLSTMLanguageModel
from tests.trainers.training import tiny
from tests.trainers.training.tiny import (
    SETTINGS,
    after_each_step,
    assert_same_run,
    interrupt_after,
    make_config,
    make_corpus,
    make_texts,
    run,
)
from trainers.errors import UserError
from trainers.training import RunFolder, loop, read_checkpoint
from trainers.training.training_state import load_weights


def num_steps(config, corpus):
    """Steps of each epoch."""
    columns = batchify(corpus.train, config.batch_size).shape[1] - 1
    return [
        len(
            bptt_windows(columns, config.bptt, config.seed, epoch, config.bptt_std, config.bptt_min)
        )
        for epoch in range(config.epochs)
    ]


def read_rows(folder):
    return [{name: float(value) for name, value in row.items()} for row in folder.read_metrics()]


class TestUnbroken:
    def test_a_row_for_each_epoch(self, unbroken):
        folder, _, _ = unbroken("epoch")
        config, corpus = make_config(), make_corpus()
        rows = read_rows(folder)
        steps = num_steps(config, corpus)
        assert [row["epoch"] for row in rows] == [1, 2, 3]
        assert [row["step"] for row in rows] == np.cumsum(steps).tolist()
        tokens = config.batch_size * (batchify(corpus.train, config.batch_size).shape[1] - 1)
        assert [row["tokens"] for row in rows] == [tokens, 2 * tokens, 3 * tokens]
        # The trigger fires after the first validation: its row is not yet averaged.
        assert [row["averaging"] for row in rows] == [0, 1, 1]
        assert rows[0]["validation_perplexity"] == rows[0]["raw_validation_perplexity"]
        assert rows[1]["validation_perplexity"] != rows[1]["raw_validation_perplexity"]
        for row in rows:
            assert row["validation_perplexity"] == math.exp(row["validation_loss"])

    def test_a_row_for_each_interval(self, unbroken):
        folder, _, _ = unbroken("often")
        total = sum(num_steps(make_config(), make_corpus()))
        rows = read_rows(folder)
        assert [row["step"] for row in rows] == list(range(4, total + 1, 4))
        assert rows[0]["epoch"] == pytest.approx(
            rows[0]["tokens"] / rows[-1]["tokens"] * rows[-1]["epoch"], abs=2e-4
        )

    def test_learning_rates_drop_after_the_named_epochs(self, unbroken):
        rates = {
            math.ceil(row["epoch"] - 1e-9): row["learning_rate"]
            for row in read_rows(unbroken("never")[0])
            if row["epoch"] % 1
        }
        assert rates == pytest.approx({1: 10.0, 2: 1.0, 3: 0.1})

    def test_results(self, unbroken):
        folder, result, output = unbroken("epoch")
        assert folder.read_results() == result.to_dict()
        steps = num_steps(make_config(), make_corpus())
        assert result.reason == "finished" and result.epochs == 3
        assert result.triggered_at_step == steps[0]
        assert set(result.to_dict()["test"]) == {"loss", "perplexity", "num_tokens"}
        assert f"averaging starts at step {steps[0]}: as asked, after epoch 1" in output
        assert folder.log_file.read_text() == output

    def test_never_is_never_averaged(self, unbroken):
        folder, result, output = unbroken("never")
        assert result.triggered_at_step is None
        assert "averaging" not in output
        assert folder.read_results()["triggered_at_step"] is None

    @pytest.mark.parametrize("name", ["often", "monotonic"])
    def test_the_trigger_fires_from_the_record_and_shows_it(self, unbroken, name):
        folder, result, output = unbroken(name)
        rows = read_rows(folder)
        losses = [row["validation_loss"] for row in rows]
        n = SETTINGS[name].get("non_monotone_interval", 0)
        fires = [k for k in range(len(losses)) if k > n and losses[k] > min(losses[: k - n])][0]
        assert result.triggered_at_step == rows[fires]["step"]
        assert [row["averaging"] for row in rows] == [float(k > fires) for k in range(len(rows))]
        (line,) = re.findall("averaging starts.*", output)
        record = " ".join(f"{loss:.4f}" for loss in losses[:fires])
        assert line == (
            f"averaging starts at step {result.triggered_at_step}: validation loss "
            f"{losses[fires]:.4f} is above {min(losses[: fires - n]):.4f}, the smallest on record"
            f"{f' without the last {n}' if n else ''}; record: {record}"
        )
        assert output.index(line) > output.index(f"step {result.triggered_at_step:7,}")

    def test_the_best_weights_are_those_of_the_results(self, unbroken):
        folder, result, _ = unbroken("often")
        config, corpus = make_config(), make_corpus()
        model = AWDLSTMLanguageModel(
            len(corpus.vocabulary), embedding_dim=6, hidden_dim=8, num_layers=2
        )
        facts = load_weights(folder.best_checkpoint, model)
        assert evaluate(model, corpus.validation, config.validation_batch_size) == (
            result.validation
        )
        assert evaluate(model, corpus.test, config.test_batch_size) == result.test
        assert facts["validation"]["total_loss"] == result.validation.total_loss
        assert result.validation.loss <= min(row["validation_loss"] for row in read_rows(folder))

    def test_no_carriage_returns_away_from_a_terminal(self, unbroken):
        assert "\r" not in unbroken("often")[2]


class TestMechanics:
    def test_each_epoch_starts_from_zero_states_and_reads_every_token(self, tmp_path, monkeypatch):
        calls = []
        make_train_step = loop.make_train_step

        def make(model, optimizer, **kwargs):
            train_step = make_train_step(model, optimizer, **kwargs)

            def record(inputs, targets, states, learning_rate, step):
                results = train_step(inputs, targets, states, learning_rate, step)
                calls.append(
                    (
                        inputs.numpy(),
                        targets.numpy(),
                        states,
                        float(learning_rate),
                        int(step),
                        results,
                    )
                )
                return results

            return record

        monkeypatch.setattr(loop, "make_train_step", make)
        config, corpus = make_config(epochs=2), make_corpus()
        run(tmp_path, config, corpus)
        columns = batchify(corpus.train, config.batch_size)
        first, second = num_steps(config, corpus)
        assert [call[4] for call in calls] == list(range(first + second))
        for epoch_calls in (calls[:first], calls[first:]):
            np.testing.assert_array_equal(
                np.concatenate([call[0] for call in epoch_calls], axis=1), columns[:, :-1]
            )
            np.testing.assert_array_equal(
                np.concatenate([call[1] for call in epoch_calls], axis=1), columns[:, 1:]
            )
            assert all(not np.any(state) for pair in epoch_calls[0][2] for state in pair)
            for before, after in zip(epoch_calls, epoch_calls[1:]):
                for pair, expected in zip(after[2], before[5][2]):
                    np.testing.assert_array_equal(pair, expected)
            assert np.any(epoch_calls[1][2][0][0])
        for inputs, _, _, rate, _, _ in calls:
            assert rate == pytest.approx(10.0 * inputs.shape[1] / 10, rel=1e-6)
        # The row's loss is the mean over the tokens, whatever the windows.
        rows = read_rows(RunFolder(tmp_path))
        for row, epoch_calls in zip(rows, (calls[:first], calls[first:])):
            losses = [float(call[5][0]) for call in epoch_calls]
            weights = [call[0].size for call in epoch_calls]
            assert row["train_loss"] == pytest.approx(np.average(losses, weights=weights), 1e-12)

    def test_the_average_is_the_mean_of_the_weights_since_the_trigger(self, tmp_path, monkeypatch):
        config, corpus = make_config(epochs=2, trigger="epoch:1"), make_corpus()
        model, optimizer = tiny.make_model(config)
        iterates = []
        with after_each_step(lambda _: iterates.append([w.numpy() for w in model.weights])):
            run(tmp_path, config, corpus)
        first, second = num_steps(config, corpus)
        arrays = read_checkpoint(RunFolder(tmp_path).last_checkpoint)[0]
        for variable, average, *weights in zip(
            model.weights, optimizer._averages, *iterates[first:]
        ):
            assert len(weights) == second
            np.testing.assert_array_equal(arrays[f"weights/{variable.path}"], weights[-1])
            np.testing.assert_allclose(average.numpy(), np.mean(weights, axis=0), atol=1e-5)
        assert optimizer.num_averaged == second

    def test_a_second_run_of_the_same_settings_is_equal(self, unbroken, tmp_path):
        run(tmp_path, make_config(**SETTINGS["epoch"]))
        assert_same_run(tmp_path, unbroken("epoch")[0].path)

    def test_bfloat16_runs_and_resumes(self, tmp_path):
        config = make_config(dtype="bfloat16", epochs=2, trigger="epoch:1")
        run(tmp_path / "unbroken", config)
        with interrupt_after(20):
            run(tmp_path / "stopped", config)
        run(tmp_path / "stopped", config)
        assert_same_run(tmp_path / "stopped", tmp_path / "unbroken")


class Terminal(io.StringIO):
    def isatty(self):
        return True


class TestSeen:
    def test_evaluations_are_alive_on_a_terminal_alone(self, tmp_path, monkeypatch):
        monkeypatch.setattr("trainers.training.progress._LIVE_SECONDS", 0.0)
        monkeypatch.setattr("trainers.training.progress._PLAIN_SECONDS", 0.0)
        for stream, is_seen in ((Terminal(), True), (io.StringIO(), False)):
            folder = tmp_path / str(is_seen)
            run(folder, make_config(epochs=1), stream=stream)
            for what in ("validating: 100% of", "testing: 100% of"):
                assert (what in stream.getvalue()) == is_seen
                assert what not in RunFolder(folder).log_file.read_text()

    def test_the_header_comes_first_in_the_log_too(self, tmp_path):
        config = make_config(epochs=1)
        model, optimizer = tiny.make_model(config)
        stream = io.StringIO()
        loop.train_and_evaluate(
            model,
            optimizer,
            make_corpus(),
            config,
            RunFolder(tmp_path),
            stream=stream,
            header=["corpus: tiny", "model: small"],
        )
        assert stream.getvalue().startswith("corpus: tiny\nmodel: small\nepoch ")
        assert RunFolder(tmp_path).log_file.read_text() == stream.getvalue()


class TestRefused:
    def test_other_settings(self, unbroken):
        folder, _, _ = unbroken("epoch")
        with pytest.raises(UserError, match=r"bptt: 10 -> 11"):
            run(folder.path, make_config(**SETTINGS["epoch"], bptt=11))

    def test_another_text(self, unbroken):
        folder, _, _ = unbroken("epoch")
        texts = {**make_texts(), "test": make_texts()["validation"]}
        with pytest.raises(UserError, match="another text"):
            run(folder.path, make_config(**SETTINGS["epoch"]), make_corpus(texts))

    @pytest.mark.parametrize(
        ("split", "changes"),
        [
            ("train", {"batch_size": 60}),
            ("train", {"bptt": 140}),
            ("validation", {"validation_batch_size": 64}),
            ("test", {"test_batch_size": 60}),
        ],
    )
    def test_a_text_too_short(self, tmp_path, split, changes):
        with pytest.raises(UserError, match=f"The {split} text of tiny is too short"):
            run(tmp_path / "run", make_config(**changes))
        assert not (tmp_path / "run").exists()

    def test_a_damaged_checkpoint(self, tmp_path):
        config = make_config(epochs=1)
        run(tmp_path, config)
        folder = RunFolder(tmp_path)
        content = folder.last_checkpoint.read_bytes()[:-30]
        folder.last_checkpoint.write_bytes(content)
        metrics = folder.metrics_file.read_bytes()
        with pytest.raises(UserError, match="corrupt"):
            run(tmp_path, config)
        assert folder.metrics_file.read_bytes() == metrics
        assert folder.last_checkpoint.read_bytes() == content

    def test_weights_alone_are_not_to_go_on_from(self, tmp_path):
        config = make_config(epochs=1)
        run(tmp_path, config)
        folder = RunFolder(tmp_path)
        folder.last_checkpoint.write_bytes(folder.best_checkpoint.read_bytes())
        with pytest.raises(UserError, match="not one to go on from"):
            run(tmp_path, config)
