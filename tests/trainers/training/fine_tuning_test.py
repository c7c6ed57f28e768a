"""Tests of runs that start from another's weights, average at once and stop by themselves."""

import io

import numpy as np
import pytest

from tests.trainers.training.tiny import (
    FINE_TUNING,
    after_each_step,
    assert_same_run,
    digests,
    fine_tuning,
    interrupt_after,
    make_config,
    make_corpus,
    run,
)
from trainers.training import RunFolder, factory, read_checkpoint, train_and_evaluate


def best_weights(folder):
    arrays, facts = read_checkpoint(RunFolder(folder).best_checkpoint)
    return {name: array for name, array in arrays.items() if name.startswith("weights/")}, facts


def losses(folder):
    return [float(row["validation_loss"]) for row in RunFolder(folder).read_metrics()]


def fires(record, loss, n):
    """The authors' condition, in their words."""
    return len(record) > n and loss > min(record[:-n])


@pytest.fixture(scope="module")
def fine_tuned(initial, tmp_path_factory):
    """`(folder, result, log)` of a fine-tuning; nobody changes it."""
    path, log = tmp_path_factory.mktemp("fine_tuned") / "run", io.StringIO()
    return path, run(path, fine_tuning(initial), stream=log), log.getvalue()


def test_the_config_says_where_it_came_from(initial, fine_tuned):
    assert RunFolder(fine_tuned[0]).read_config()[0].initial_run == str(initial)


def test_it_stops_at_the_first_loss_that_fires(fine_tuned):
    path, result, log = fine_tuned
    found = losses(path)
    n = FINE_TUNING["non_monotone_interval"]
    tests = [fires(found[:index], loss, n) for index, loss in enumerate(found)]
    assert tests == [False] * (len(found) - 1) + [True]
    assert result.reason == "finished"
    assert result.stopped_at_step == FINE_TUNING["logging_interval"] * len(found)
    assert result.epochs < FINE_TUNING["epochs"]
    assert RunFolder(path).read_results()["stopped_at_step"] == result.stopped_at_step
    assert f"done at step {result.stopped_at_step:,}: validation loss {found[-1]:.4f}" in log


def test_it_goes_on_to_the_last_epoch_if_told_never_to_stop(fine_tuned, initial, tmp_path):
    path, stopped, _ = fine_tuned
    epochs = int(stopped.epochs) + 2
    result = run(tmp_path / "run", fine_tuning(initial, stop="never", epochs=epochs))
    assert (result.epochs, result.stopped_at_step) == (epochs, None)
    found, before = losses(tmp_path / "run"), losses(path)
    assert found[: len(before)] == before
    assert len(found) > len(before)


def test_it_begins_with_the_best_weights_and_averages_from_the_first_step(initial, tmp_path):
    config = fine_tuning(initial, epochs=1, logging_interval=5, stop="never", learning_rate=1.0)
    corpus = make_corpus()
    model = factory.build_model(config, len(corpus.vocabulary))
    optimizer = factory.build_optimizer(config, model)
    expected, _ = best_weights(initial)
    seen = []

    def look(number):
        seen.append({v.path: v.numpy().astype("float64") for v in model.trainable_variables})
        assert optimizer.num_averaged == number
        with optimizer.averaged_weights():
            for variable in model.trainable_variables:
                mean = np.mean([weights[variable.path] for weights in seen], axis=0)
                np.testing.assert_allclose(variable.numpy(), mean, rtol=1e-5, atol=1e-6)

    with after_each_step(look):
        result = train_and_evaluate(
            model, optimizer, corpus, config, RunFolder(tmp_path / "run"), stream=io.StringIO()
        )
    assert result.triggered_at_step == 0
    assert len(seen) > 5
    # The first step leads away from those weights by a clipped gradient at the most.
    moved = [seen[0][name.removeprefix("weights/")] - expected[name] for name in expected]
    norm = sum(np.sum(np.square(difference)) for difference in moved) ** 0.5
    # bptt_std makes the first window a little longer than bptt.
    assert 0 < norm < 2 * config.learning_rate * config.global_clipnorm
    rows = RunFolder(tmp_path / "run").read_metrics()
    assert {row["averaging"] for row in rows} == {"1"}


def test_weights_that_are_never_better_leave_the_best_as_they_were(initial, tmp_path):
    config = fine_tuning(initial, epochs=1, learning_rate=500.0, global_clipnorm=50.0)
    result = run(tmp_path / "run", config)
    weights, facts = best_weights(tmp_path / "run")
    expected, expected_facts = best_weights(initial)
    assert facts["step"] == 0
    assert result.validation.to_dict() == RunFolder(initial).read_results()["validation"]
    assert facts["validation"] == expected_facts["validation"]
    for name, array in weights.items():
        np.testing.assert_array_equal(array, expected[name])
    assert min(losses(tmp_path / "run")) > result.validation.loss


@pytest.mark.parametrize("step", [1, 20])
def test_interrupted_and_gone_on_with_it_is_the_same_to_the_last_bit(
    fine_tuned, initial, tmp_path, step
):
    assert step < fine_tuned[1].stopped_at_step
    with interrupt_after(step):
        assert run(tmp_path / "run", fine_tuning(initial)).reason == "interrupted"
    assert run(tmp_path / "run", fine_tuning(initial)).reason == "finished"
    assert_same_run(tmp_path / "run", fine_tuned[0])


def test_gone_on_with_after_the_stop_it_stays_as_it_is(initial, tmp_path):
    first = run(tmp_path / "run", fine_tuning(initial))
    before = digests(tmp_path / "run")
    assert run(tmp_path / "run", fine_tuning(initial, epochs=100)) == first
    after = digests(tmp_path / "run")
    assert {name for name in after if after[name] != before.get(name)} <= {"config.json", "log.txt"}


def test_an_average_that_begins_later_is_asked_from_then_on(tmp_path):
    config = make_config(
        epochs=60,
        trigger="epoch:2",
        stop="non_monotonic",
        logging_interval=7,
        non_monotone_interval=3,
        learning_rate=30.0,
    )
    result = run(tmp_path / "run", config)
    averaged = [
        float(row["validation_loss"])
        for row in RunFolder(tmp_path / "run").read_metrics()
        if row["averaging"] == "1"
    ]
    tests = [fires(averaged[:index], loss, 3) for index, loss in enumerate(averaged)]
    assert tests == [False] * (len(averaged) - 1) + [True]
    assert result.triggered_at_step < result.stopped_at_step
