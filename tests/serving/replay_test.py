"""Tests of the warm-up requests as a server makes them, with a model that is none."""

import pytest
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from serving import replay as module
from serving.replay import WARMUP_FILE, replay
from serving.status import StatusError
from tests.serving.stand_in_servable import StandInServable


def log_of(text, signature_name=""):
    log = prediction_log_pb2.PredictionLog()
    request = log.predict_log.request
    request.model_spec.signature_name = signature_name
    request.inputs["text"].CopyFrom(tf.make_tensor_proto([text]))
    return log


@pytest.fixture
def file(tmp_path):
    path = tmp_path / WARMUP_FILE
    path.parent.mkdir()
    return path


def write(file, *records):
    with tf.io.TFRecordWriter(str(file)) as writer:
        for record in records:
            writer.write(record if isinstance(record, bytes) else record.SerializeToString())


def test_every_request_is_made_in_its_order(file, tmp_path):
    write(file, log_of("first", "score"), log_of("second"))
    servable = StandInServable()
    assert replay(servable, tmp_path) == 2
    made = [(name, inputs["text"].tolist()) for name, inputs, _, _ in servable.calls]
    assert made == [("score", [b"first"]), ("", [b"second"])]
    assert replay(StandInServable(), str(tmp_path)) == 2


def test_without_requests(file, tmp_path):
    assert replay(StandInServable(), tmp_path) == 0
    assert replay(StandInServable(), tmp_path / "nowhere") == 0
    write(file)
    assert replay(StandInServable(), tmp_path) == 0


def test_a_request_that_fails_is_named(file, tmp_path):
    class OnlyScores(StandInServable):
        def predict(self, signature_name, inputs):
            if signature_name != "score":
                raise StatusError("FAILED_PRECONDITION", "not found")
            return super().predict(signature_name, inputs)

    write(file, *[log_of("a", name) for name in ("score", "explain", "score")])
    servable = OnlyScores()
    with pytest.raises(StatusError) as error:
        replay(servable, tmp_path)
    assert error.value.code == "FAILED_PRECONDITION"
    assert error.value.message == f"warm-up request 2 of {file}: not found"
    assert len(servable.calls) == 1  # and the third is not made


def test_a_tensor_too_large_is_a_request_that_fails(file, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_MAX_BYTES", 5)
    log = log_of("a")
    log.predict_log.request.inputs["text"].tensor_shape.dim[0].size = 6
    write(file, log)
    with pytest.raises(StatusError, match="^INVALID_ARGUMENT: warm-up request 1 of .*too large"):
        replay(StandInServable(), tmp_path)


def test_a_damaged_file(file, tmp_path):
    for damage in ("no records", "no messages", "cut short"):
        if damage == "no records":
            file.write_bytes(b"no records" * 10)
        elif damage == "no messages":
            write(file, b"\xff\xff\xff")
        else:
            write(file, log_of("a"), log_of("b"))
            file.write_bytes(file.read_bytes()[:-1])
        with pytest.raises(StatusError) as error:
            replay(StandInServable(), tmp_path)
        assert error.value.code == "DATA_LOSS", damage
        assert error.value.message.startswith(f"{file}: ")
        assert "\n" not in error.value.message
