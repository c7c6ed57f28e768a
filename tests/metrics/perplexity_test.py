"""Tests of the perplexity metric."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from awd_keras import metrics
from tests.test_case import check_config

VOCABULARY = 6


def make_batch(shape, seed=0):
    generator = np.random.default_rng(seed)
    targets = generator.integers(VOCABULARY, size=shape)
    return targets, generator.normal(size=(*shape, VOCABULARY)).astype("float32") * 3.0


def nats(targets, logits):
    logits = logits.astype("float64")
    log_normalizer = np.log(np.sum(np.exp(logits), axis=-1))
    return log_normalizer - np.take_along_axis(logits, targets[..., None], axis=-1)[..., 0]


class TestPerplexity:
    def test_config(self):
        metric = metrics.Perplexity(True, mask_token_id=3, dtype="float64", name="surprise")
        config = check_config(metric).get_config()
        expected = {"from_logits": True, "mask_token_id": 3, "dtype": "float64", "name": "surprise"}
        assert config == expected
        assert metrics.Perplexity().name == "perplexity"

    def test_probabilities_are_the_default(self):
        targets, logits = make_batch((3, 4))
        metric = metrics.Perplexity()
        metric.update_state(targets, tf.nn.softmax(logits))
        expected = np.exp(np.mean(nats(targets, logits)))
        assert float(metric.result()) == pytest.approx(expected, rel=1e-5)

    def test_sums_over_batches_not_a_mean_of_means(self):
        metric = metrics.Perplexity(from_logits=True)
        batches = [make_batch((1, 1), 1), make_batch((4, 7), 2), make_batch((2, 3), 3)]
        for targets, logits in batches:
            metric.update_state(targets, logits)
        costs = [nats(*batch) for batch in batches]
        total = np.exp(np.sum([np.sum(x) for x in costs]) / np.sum([x.size for x in costs]))
        assert abs(np.exp(np.mean([np.mean(x) for x in costs])) / total - 1.0) > 0.01
        assert float(metric.result()) == pytest.approx(total, rel=1e-5)

    @pytest.mark.parametrize("shape", [(2, 5), (2, 5, 1), (2,)])
    def test_sample_weight(self, shape):
        targets, logits = make_batch((2, 5))
        weights = np.random.default_rng(4).random(shape).astype("float32")
        metric = metrics.Perplexity(from_logits=True)
        metric.update_state(targets, logits, sample_weight=weights)
        metric.update_state(targets, logits, sample_weight=np.zeros(shape))
        weights = np.broadcast_to(weights.reshape(2, -1), (2, 5))
        expected = np.exp(np.average(nats(targets, logits), weights=weights))
        assert float(metric.result()) == pytest.approx(expected, rel=1e-5)

    @pytest.mark.parametrize("mask_token_id", [0, -1])
    def test_mask_token_id(self, mask_token_id):
        targets, logits = make_batch((2, 5))
        weights = np.random.default_rng(4).random((2, 5)).astype("float32")
        targets[1, 2:] = mask_token_id
        counts = targets != mask_token_id
        assert 0 < np.sum(counts) < counts.size
        metric = metrics.Perplexity(from_logits=True, mask_token_id=mask_token_id)
        metric.update_state(targets, logits)
        expected = np.exp(np.mean(nats(targets, logits)[counts]))
        assert float(metric.result()) == pytest.approx(expected, rel=1e-5)
        metric.reset_state()
        metric.update_state(targets, logits, sample_weight=weights)
        expected = np.exp(np.average(nats(targets, logits)[counts], weights=weights[counts]))
        assert float(metric.result()) == pytest.approx(expected, rel=1e-5)

    @pytest.mark.parametrize("mask_zero", [True, False])
    def test_padding_does_not_count(self, mask_zero):
        # Excluded by the mask of an embedding, or by the class that the loss ignores.
        keras.utils.set_random_seed(0)
        layers = [
            keras.Input((None,), dtype="int32"),
            keras.layers.Embedding(VOCABULARY, 4, mask_zero=mask_zero),
            keras.layers.Dense(
                VOCABULARY, kernel_initializer=keras.initializers.RandomNormal(0, 9)
            ),
        ]
        model = keras.Sequential(layers)
        ignore_class, mask_token_id = (None, None) if mask_zero else (0, 0)
        loss = keras.losses.SparseCategoricalCrossentropy(True, ignore_class=ignore_class)
        perplexity = metrics.Perplexity(from_logits=True, mask_token_id=mask_token_id)
        model.compile("sgd", loss, metrics=[perplexity])
        ids = np.array([[1, 2, 3, 4, 5], [3, 4, 0, 0, 0]])
        results = model.evaluate(ids, ids, verbose=0, return_dict=True)
        assert results["perplexity"] == pytest.approx(np.exp(results["loss"]), rel=1e-5)
