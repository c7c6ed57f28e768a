"""TF-Serving's answers: protocol messages made of requests, the same for gRPC and REST."""

import tensorflow as tf
from tensorflow_serving.apis import get_model_metadata_pb2, get_model_status_pb2, predict_pb2

from serving.servable import DEFAULT_SIGNATURE, read_tensors
from serving.status import StatusError

_METADATA_FIELD = "signature_def"


def predict(servable, request, max_bytes, timeout):
    """Answers `PredictionService.Predict`.

    Args:
        servable: `Servable`.
        request: `PredictRequest`.
        max_bytes: the most that one input may take.
        timeout: seconds after which to give up.

    Returns:
        `PredictResponse`.

    Raises:
        StatusError: as TF-Serving fails.
    """
    check_spec(servable, request)
    inputs = read_tensors(request.inputs, max_bytes)
    name = request.model_spec.signature_name
    outputs = servable.predict(name, inputs, list(request.output_filter), timeout)
    response = predict_pb2.PredictResponse()
    _fill_spec(response.model_spec, servable, name or DEFAULT_SIGNATURE)
    for key, array in outputs.items():
        response.outputs[key].CopyFrom(tf.make_tensor_proto(array))
    return response


def model_metadata(servable, request):
    """Answers `PredictionService.GetModelMetadata`.

    Args:
        servable: `Servable`.
        request: `GetModelMetadataRequest`.

    Returns:
        `GetModelMetadataResponse`.

    Raises:
        StatusError: INVALID_ARGUMENT for other fields than "signature_def", NOT_FOUND.
    """
    if not request.metadata_field:
        raise StatusError(
            "INVALID_ARGUMENT", "GetModelMetadataRequest must specify at least one metadata_field"
        )
    for field in request.metadata_field:
        if field != _METADATA_FIELD:
            raise StatusError("INVALID_ARGUMENT", f"Metadata field {field} is not supported")
    check_spec(servable, request)
    response = get_model_metadata_pb2.GetModelMetadataResponse()
    _fill_spec(response.model_spec, servable)
    signatures = get_model_metadata_pb2.SignatureDefMap()
    for name, signature in servable.signatures.items():
        signatures.signature_def[name].CopyFrom(signature)
    response.metadata[_METADATA_FIELD].Pack(signatures)
    return response


def model_status(servable, request):
    """Answers `ModelService.GetModelStatus`.

    Args:
        servable: `Servable`.
        request: `GetModelStatusRequest`.

    Returns:
        `GetModelStatusResponse`.

    Raises:
        StatusError: NOT_FOUND for another model or version.
    """
    spec = _spec_of(request)
    if spec.name != servable.name:
        raise StatusError("NOT_FOUND", f"Could not find any versions of model {spec.name}")
    if spec.HasField("version") and spec.version.value != servable.version:
        raise StatusError(
            "NOT_FOUND", f"Could not find version {spec.version.value} of model {spec.name}"
        )
    _check_label(servable, spec)
    response = get_model_status_pb2.GetModelStatusResponse()
    version = response.model_version_status.add()
    version.version = servable.version
    version.state = get_model_status_pb2.ModelVersionStatus.AVAILABLE
    version.status.error_code = 0
    return response


def check_spec(servable, request):
    """Checks that a request is for a model, in its version.

    Args:
        servable: `Servable`.
        request: a message with a `model_spec`.

    Raises:
        StatusError: NOT_FOUND, if it is for another one; INVALID_ARGUMENT, if for none.
    """
    spec = _spec_of(request)
    if not spec.name:
        raise StatusError("INVALID_ARGUMENT", "ModelSpec has no name specified.")
    _check_label(servable, spec)
    wanted = spec.version.value if spec.HasField("version") else None
    if spec.name != servable.name or wanted not in (None, servable.version):
        which = f"Latest({spec.name})" if wanted is None else f"Specific({spec.name}, {wanted})"
        raise StatusError("NOT_FOUND", f"Servable not found for request: {which}")


def _spec_of(request):
    if not request.HasField("model_spec"):
        raise StatusError("INVALID_ARGUMENT", "Missing ModelSpec")
    return request.model_spec


def _check_label(servable, spec):
    if spec.version_label and spec.version_label not in servable.labels:
        raise StatusError(
            "INVALID_ARGUMENT", f"Unrecognized servable version label: {spec.version_label}"
        )


def _fill_spec(spec, servable, signature_name=""):
    spec.name = servable.name
    spec.version.value = servable.version
    spec.signature_name = signature_name
