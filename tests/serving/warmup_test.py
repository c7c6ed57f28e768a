"""The warm-up file, record by record, through the model that it comes with."""

import contextlib

import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from serving.limits import Limits
from serving.replay import WARMUP_FILE, replay
from serving.saved_model import export_saved_model
from serving.servable import Servable
from serving.signatures import SIGNATURES
from serving.warmup import BATCH_SIZES, warmup_inputs
from tests.serving.exported import exported, run


def read_requests(path):
    records = tf.data.TFRecordDataset(str(path / WARMUP_FILE)).as_numpy_iterator()
    logs = [prediction_log_pb2.PredictionLog.FromString(record) for record in records]
    assert all(log.WhichOneof("log_type") == "predict_log" for log in logs)
    return [log.predict_log.request for log in logs]


def test_every_signature_in_several_batch_sizes():
    tiny = exported()
    requests = read_requests(tiny.export.path)
    assert len(requests) == tiny.export.num_warmup_requests <= 1000  # the server's limit
    found = [
        (request.model_spec.signature_name, tensor.tensor_shape.dim[0].size)
        for request in requests
        for tensor in list(request.inputs.values())[:1]
    ]
    assert found == [(name, size) for name in SIGNATURES for size in BATCH_SIZES]
    assert {request.model_spec.name for request in requests} == {"tiny"}


@pytest.mark.parametrize("signature", SIGNATURES)
def test_the_model_answers(signature):
    tiny = exported()
    for request in read_requests(tiny.export.path):
        if request.model_spec.signature_name == signature:
            inputs = {key: tf.make_ndarray(value) for key, value in request.inputs.items()}
            specs = tiny.signatures[signature].structured_input_signature[1]
            assert {key: tf.as_dtype(value.dtype) for key, value in inputs.items()} == {
                key: spec.dtype for key, spec in specs.items()
            }
            outputs = tiny.call(signature, **inputs)
            size = {len(value) for value in inputs.values()}
            assert {len(value) for value in outputs.values()} == size
            for value in outputs.values():
                assert value.dtype == object or not np.any(np.isnan(value))


def test_a_vocabulary_of_few_words():
    inputs = warmup_inputs("generate", 2, ["<unk>", "<eos>"], 4)
    assert inputs["prompt"].tolist() == [b"<unk>", b"<unk>"]
    assert inputs["top_k"].tolist() == [2, 2]
    assert warmup_inputs("score_tokens", 2, ["a", "b"], 4)["token_ids"].max() == 1


SMALL = {"max_text_words": 1, "max_text_bytes": 4, "max_words": 1, "max_k": 1}


@pytest.mark.parametrize("name", SMALL)
def test_no_request_is_above_a_limit(name):
    limits = Limits(**{name: SMALL[name]})
    words = ["<unk>", "<eos>", "café", "w1"]
    score, tokens, following, generate = (
        warmup_inputs(signature, 8, words, 4, limits)
        for signature in ("score", "score_tokens", "next_word", "generate")
    )
    texts = [*score["text"], *following["text"], *generate["prompt"]]
    assert max(map(len, texts)) <= limits.max_text_bytes
    assert max(len(text.split()) for text in texts) <= limits.max_text_words
    assert tokens["token_ids"].shape == (8, tokens["lengths"][0])
    assert tokens["lengths"].max() <= limits.max_text_words
    assert 1 <= following["k"].max() <= limits.max_k
    assert 1 <= generate["max_words"].max() <= limits.max_words


def test_an_export_with_small_limits_answers_its_own_requests(tmp_path):
    _, model, vocabulary = run()
    limits = Limits(**SMALL, max_batch_size=2)
    export = export_saved_model(model, vocabulary, tmp_path, "small", limits=limits)
    servable = Servable(export.path, "small", 1, [])
    with contextlib.closing(servable):
        assert replay(servable, export.path) == export.num_warmup_requests == len(SIGNATURES)


def test_zeros_take_no_room():
    tiny = exported()
    for request in read_requests(tiny.export.path):
        if request.model_spec.signature_name == "step":
            assert request.ByteSize() < 500
            state = tf.make_ndarray(request.inputs["state"])
            assert state.shape[1] == tiny.zero_state(1).shape[1] and not state.any()
