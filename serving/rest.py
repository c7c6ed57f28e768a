"""The REST interface of TF-Serving over a `Servable`, as a WSGI application."""

import json
import re

from google.protobuf import json_format
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    predict_pb2,
)
from werkzeug.wrappers import Request, Response

from serving import answers
from serving.json_tensors import parse_request, read_inputs, write_outputs
from serving.status import HTTP_CODES, StatusError

_WHICH = r"(?:/versions/(?P<version>\d+)|/labels/(?P<label>[^/:]+))?"
_PREDICT = re.compile(
    rf"/v1/models/(?P<name>[^/:]+){_WHICH}:(?P<method>classify|regress|predict)", re.IGNORECASE
)
_STATUS = re.compile(
    rf"/v1/models(?:/(?P<name>[^/:]+))?{_WHICH}(?P<metadata>/metadata)?", re.IGNORECASE
)
_MAX_VERSION = 2**63 - 1


def make_application(servable, timeout):
    """Makes the application.

    Args:
        servable: `Servable`.
        timeout: seconds after which a request is given up.

    Returns:
        WSGI application. It answers

        - `POST /v1/models/NAME[/versions/N|/labels/L]:predict`,
        - `GET /v1/models/NAME[/versions/N|/labels/L]`: which version is available,
        - `GET /v1/models/NAME[/versions/N|/labels/L]/metadata`: its signatures,

        with JSON; a request that fails with `{"error": "..."}` and TF-Serving's HTTP code.
    """

    @Request.application
    def application(request):
        try:
            return _json_response(_answer(servable, request, timeout), "OK")
        except StatusError as error:
            return _json_response(json.dumps({"error": error.message}), error.code)

    return application


def _json_response(body, code):
    return Response(body, HTTP_CODES[code], content_type="application/json")


def _answer(servable, request, timeout):
    if request.method == "POST" and (match := _PREDICT.fullmatch(request.path)):
        if match["method"].lower() != "predict":
            raise StatusError(
                "UNIMPLEMENTED", f"{match['method']} is not served here, only predict"
            )
        return _predict(servable, match, request.get_data(), timeout)
    if request.method == "GET" and (match := _STATUS.fullmatch(request.path)):
        if match["name"] is None:
            raise StatusError("INVALID_ARGUMENT", "Missing model name in request.")
        return _metadata(servable, match) if match["metadata"] else _status(servable, match)
    raise StatusError("INVALID_ARGUMENT", f"Malformed request: {request.method} {request.path}")


def _predict(servable, match, body, timeout):
    request = _with_spec(predict_pb2.PredictRequest(), match)
    values = parse_request(body)
    answers.check_spec(servable, request)
    signature_name = values.get("signature_name", "")
    inputs, by_row = read_inputs(values, servable.input_dtypes(signature_name))
    outputs = servable.predict(signature_name, inputs, timeout=timeout)
    return write_outputs(outputs, by_row)


def _status(servable, match):
    request = _with_spec(get_model_status_pb2.GetModelStatusRequest(), match)
    response = answers.model_status(servable, request)
    return json_format.MessageToJson(response, always_print_fields_with_no_presence=True, indent=1)


def _metadata(servable, match):
    request = _with_spec(get_model_metadata_pb2.GetModelMetadataRequest(), match)
    request.metadata_field.append("signature_def")
    response = answers.model_metadata(servable, request)
    signatures = get_model_metadata_pb2.SignatureDefMap()
    response.metadata["signature_def"].Unpack(signatures)
    parts = {
        "model_spec": _to_dict(response.model_spec),
        "metadata": {"signature_def": _to_dict(signatures)},
    }
    return json.dumps(parts, indent=1)


def _to_dict(message):
    return json_format.MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )


def _with_spec(request, match):
    request.model_spec.name = match["name"]
    if match["version"] is not None:
        version = int(match["version"][:20])
        if version > _MAX_VERSION:
            raise StatusError(
                "INVALID_ARGUMENT", f"Failed to convert version: {match['version']} to numeric."
            )
        request.model_spec.version.value = version
    if match["label"] is not None:
        request.model_spec.version_label = match["label"]
    return request
