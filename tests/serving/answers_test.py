"""Tests of the answers to the protocol's requests, without a model and without a network."""

import pytest
import tensorflow as tf
from tensorflow_serving.apis import get_model_metadata_pb2, get_model_status_pb2, predict_pb2

from serving import answers
from serving.status import StatusError
from tests.serving.stand_in_servable import StandInServable


@pytest.fixture
def servable():
    return StandInServable()


def with_spec(request, name="lm", version=None, label="", signature_name=""):
    request.model_spec.name = name
    request.model_spec.signature_name = signature_name
    if version is not None:
        request.model_spec.version.value = version
    if label:
        request.model_spec.version_label = label
    return request


def predict_request(text=("a", "b"), **spec):
    request = with_spec(predict_pb2.PredictRequest(), **spec)
    request.inputs["text"].CopyFrom(tf.make_tensor_proto(list(text), tf.string))
    return request


def metadata_request(*fields, **spec):
    request = with_spec(get_model_metadata_pb2.GetModelMetadataRequest(), **spec)
    request.metadata_field.extend(fields)
    return request


def status_request(**spec):
    return with_spec(get_model_status_pb2.GetModelStatusRequest(), **spec)


def assert_refused(code, said, answer, *arguments):
    with pytest.raises(StatusError) as error:
        answer(*arguments)
    assert (error.value.code, error.value.message) == (code, said)


class TestPredict:
    def test_what_was_asked_arrives_and_what_came_out_goes_back(self, servable):
        request = predict_request(signature_name="score")
        request.output_filter.append("loss")
        response = answers.predict(servable, request, 1000, 7.5)
        [(name, inputs, output_filter, timeout)] = servable.calls
        assert (name, output_filter, timeout) == ("score", ["loss"], 7.5)
        assert inputs["text"].tolist() == [b"a", b"b"]
        assert list(response.outputs) == ["loss"]
        assert tf.make_ndarray(response.outputs["loss"]).tolist() == [0.5, 2.0]
        assert tf.as_dtype(response.outputs["loss"].dtype) == tf.float32

    @pytest.mark.parametrize("asked, said", [("", "serving_default"), ("score", "score")])
    def test_it_says_which_model_answered(self, servable, asked, said):
        spec = answers.predict(servable, predict_request(signature_name=asked), 1000, 1).model_spec
        assert (spec.name, spec.version.value, spec.signature_name) == ("lm", 3, said)

    def test_the_model_is_not_asked_what_is_refused(self, servable):
        said = "Servable not found for request: Latest(other)"
        request = predict_request(name="other")
        assert_refused("NOT_FOUND", said, answers.predict, servable, request, 1000, 1)
        request = predict_request(text="abcd")
        answers.predict(servable, request, 4, 1)
        with pytest.raises(StatusError, match=r"^INVALID_ARGUMENT: .*\[4\] is too large"):
            answers.predict(servable, request, 3, 1)
        assert len(servable.calls) == 1

    def test_a_failure_of_the_model_comes_out(self):
        error = StatusError("DEADLINE_EXCEEDED", "late")
        servable = StandInServable(error)
        with pytest.raises(StatusError) as caught:
            answers.predict(servable, predict_request(), 1000, 1)
        assert caught.value is error


class TestModelMetadata:
    @pytest.mark.parametrize("fields", [1, 2])
    def test_the_signatures(self, servable, fields):
        request = metadata_request(*["signature_def"] * fields, version=3)
        response = answers.model_metadata(servable, request)
        spec = response.model_spec
        assert (spec.name, spec.version.value, spec.signature_name) == ("lm", 3, "")
        assert list(response.metadata) == ["signature_def"]
        signatures = get_model_metadata_pb2.SignatureDefMap()
        assert response.metadata["signature_def"].Unpack(signatures)
        assert dict(signatures.signature_def) == servable.signatures

    def test_other_fields(self, servable):
        said = "GetModelMetadataRequest must specify at least one metadata_field"
        request = metadata_request()
        assert_refused("INVALID_ARGUMENT", said, answers.model_metadata, servable, request)
        request = metadata_request("signature_def", "weights")
        said = "Metadata field weights is not supported"
        assert_refused("INVALID_ARGUMENT", said, answers.model_metadata, servable, request)

    def test_another_model(self, servable):
        request = metadata_request("signature_def", name="other", version=1)
        said = "Servable not found for request: Specific(other, 1)"
        assert_refused("NOT_FOUND", said, answers.model_metadata, servable, request)


class TestModelStatus:
    @pytest.mark.parametrize("spec", [{}, {"version": 3}, {"label": "stable"}])
    def test_the_version_is_available(self, servable, spec):
        response = answers.model_status(servable, status_request(**spec))
        [version] = response.model_version_status
        assert (version.version, version.status.error_code) == (3, 0)
        assert version.state == get_model_status_pb2.ModelVersionStatus.AVAILABLE

    @pytest.mark.parametrize(
        "spec, code, said",
        [
            ({"name": "x"}, "NOT_FOUND", "Could not find any versions of model x"),
            ({"version": 2}, "NOT_FOUND", "Could not find version 2 of model lm"),
            ({"version": 0}, "NOT_FOUND", "Could not find version 0 of model lm"),
            ({"label": "x"}, "INVALID_ARGUMENT", "Unrecognized servable version label: x"),
        ],
    )
    def test_others(self, servable, spec, code, said):
        assert_refused(code, said, answers.model_status, servable, status_request(**spec))

    def test_no_model(self, servable):
        request = get_model_status_pb2.GetModelStatusRequest()
        said = "Missing ModelSpec"
        assert_refused("INVALID_ARGUMENT", said, answers.model_status, servable, request)


class TestCheckSpec:
    @pytest.mark.parametrize("spec", [{}, {"version": 3}, {"label": "stable"}])
    def test_this_model(self, servable, spec):
        assert answers.check_spec(servable, predict_request(**spec)) is None

    @pytest.mark.parametrize(
        "spec, code, said",
        [
            ({"name": ""}, "INVALID_ARGUMENT", "ModelSpec has no name specified."),
            ({"label": "x"}, "INVALID_ARGUMENT", "Unrecognized servable version label: x"),
            ({"name": "x"}, "NOT_FOUND", "Servable not found for request: Latest(x)"),
            ({"version": 4}, "NOT_FOUND", "Servable not found for request: Specific(lm, 4)"),
            # A version that is set to 0 is not one that is not set.
            ({"version": 0}, "NOT_FOUND", "Servable not found for request: Specific(lm, 0)"),
        ],
    )
    def test_others(self, servable, spec, code, said):
        assert_refused(code, said, answers.check_spec, servable, predict_request(**spec))

    def test_no_model(self, servable):
        request = predict_pb2.PredictRequest()
        assert_refused(
            "INVALID_ARGUMENT", "Missing ModelSpec", answers.check_spec, servable, request
        )
