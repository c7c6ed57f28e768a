"""Requests to TF-Serving by REST. TensorFlow is not needed."""

import concurrent.futures
import json
import re
import threading
import time
import urllib.parse

import numpy as np
import requests

from serving.json_tensors import decode_output, encode_input
from serving.status import START_A_SERVER, StatusError, code_of_http

# TensorFlow's names of types, as the metadata has them.
_DTYPES = {
    "DT_FLOAT": np.dtype(np.float32),
    "DT_DOUBLE": np.dtype(np.float64),
    "DT_INT32": np.dtype(np.int32),
    "DT_INT64": np.dtype(np.int64),
    "DT_BOOL": np.dtype(bool),
    "DT_STRING": np.dtype(object),
}


class RestTransport:
    """Speaks REST with a server.

    Args:
        address: `http://host:port` or `https://host:port`, a path after it if a proxy needs one.
        spec: dictionary with the model's `name`, and its `version` or `label`, or neither.
        certificate: None, or a file of certificates to trust, in PEM.
    """

    def __init__(self, address, spec, certificate=None):
        self._url = f"{address.rstrip('/')}/v1/models/{urllib.parse.quote(spec['name'], safe='')}"
        if spec.get("version") is not None:
            self._url += f"/versions/{spec['version']}"
        if spec.get("label") is not None:
            self._url += f"/labels/{urllib.parse.quote(spec['label'], safe='')}"
        self._session = requests.Session()
        self._certificate = certificate
        self._signatures = None

    def close(self):
        self._session.close()

    def predict(self, signature, inputs, timeout):
        """Asks a signature.

        Args:
            signature: its name.
            inputs: dictionary of name to array; strings are arrays of `bytes` objects.
            timeout: seconds, the question for the signatures before the first request included.

        Returns:
            dictionary of output name to array.

        Raises:
            StatusError: if it is not answered.
        """
        end = time.monotonic() + timeout
        if self._signatures is None:  # JSON does not say of what type its numbers are
            self._signatures = self.metadata(timeout)
        if signature not in self._signatures:
            raise StatusError(
                "INVALID_ARGUMENT",
                f'the model has no signature "{signature}". It has: '
                f"{', '.join(sorted(self._signatures))}",
            )
        outputs = self._signatures[signature]["outputs"]
        columns = {name: encode_input(array) for name, array in inputs.items()}
        body = json.dumps({"signature_name": signature, "inputs": columns})
        answer = self._ask("POST", ":predict", end - time.monotonic(), body)
        try:
            values = answer["outputs"]
            if len(outputs) == 1:
                values = {next(iter(outputs)): values}
            return {name: decode_output(values[name], outputs[name][0]) for name in outputs}
        except (KeyError, TypeError):
            raise _unreadable(answer) from None

    def metadata(self, timeout):
        """The model's signatures.

        Args:
            timeout: seconds.

        Returns:
            dictionary of signature name to `{"inputs": {name: (dtype, shape)}, "outputs": ...}`,
            the dtype a NumPy dtype, the shape a tuple with None for any length.
        """
        answer = self._ask("GET", "/metadata", timeout)
        try:
            signatures = answer["metadata"]["signature_def"]["signature_def"]
            return {
                name: {
                    "inputs": _infos(signature["inputs"]),
                    "outputs": _infos(signature["outputs"]),
                }
                for name, signature in signatures.items()
                if signature.get("inputs")
            }
        except (KeyError, TypeError, AttributeError):
            raise _unreadable(answer) from None

    def status(self, timeout):
        """The model's versions.

        Args:
            timeout: seconds.

        Returns:
            dictionary of version to its state, such as `{1: "AVAILABLE"}`.
        """
        answer = self._ask("GET", "", timeout)
        try:
            return {int(v["version"]): v["state"] for v in answer["model_version_status"]}
        except (KeyError, TypeError, ValueError):
            raise _unreadable(answer) from None

    def _ask(self, method, suffix, timeout, body=None):
        try:
            response = _within(
                timeout,
                lambda: self._session.request(
                    method,
                    self._url + suffix,
                    data=body,
                    timeout=timeout,
                    verify=self._certificate,  # the session's would give way to REQUESTS_CA_BUNDLE
                    headers={"Content-Type": "application/json"},
                ),
            )
        except requests.Timeout as error:
            raise StatusError("DEADLINE_EXCEEDED", str(error)) from None
        except requests.exceptions.SSLError as error:
            raise StatusError("UNAUTHENTICATED", str(error)) from None
        except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError) as error:
            raise StatusError("UNAVAILABLE", self._why(error)) from None
        except (requests.RequestException, OSError) as error:  # a malformed address or file
            raise StatusError("INVALID_ARGUMENT", str(error)) from None
        try:
            answer = response.json()
        except ValueError:
            answer = None
        if response.status_code != 200:
            said = answer.get("error") if isinstance(answer, dict) else None
            said = said or " ".join(response.text.split())[:500] or response.reason
            raise StatusError(code_of_http(response.status_code), str(said))
        if not isinstance(answer, dict):
            raise _unreadable(response.text)
        return answer

    def _why(self, error):
        """What a person can do something with, of what the libraries below say of a connection."""
        reason = re.search(r"\[Errno -?\d+\] ([^'\")]+)", str(error))
        if reason is None or "Failed to" not in str(error):  # the connection was there, and ended
            return str(error)
        server = self._url.partition("/v1/models/")[0]
        return f"no server answers at {server} ({reason[1]}). {START_A_SERVER}"


def _within(seconds, call):
    """Calls a function, for so long: the timeout of `requests` is one for each piece of an answer.

    Where time is up, the call is left to itself; its thread keeps no program from ending.

    Raises:
        requests.Timeout: if it takes longer.
    """
    done = concurrent.futures.Future()

    def run():
        try:
            done.set_result(call())
        except BaseException as error:
            done.set_exception(error)

    late = requests.Timeout(f"no answer within {max(seconds, 0):.3g} seconds")
    if seconds <= 0:
        raise late
    threading.Thread(target=run, daemon=True).start()
    try:
        return done.result(seconds)
    except concurrent.futures.TimeoutError:
        raise late from None


def _unreadable(answer):
    return StatusError(
        "INTERNAL", f"expected an answer of TF-Serving's form. Received: {str(answer)[:200]!r}"
    )


def _infos(infos):
    return {
        name: (
            _DTYPES[info["dtype"]],
            tuple(
                None if int(dim["size"]) < 0 else int(dim["size"])
                for dim in info["tensor_shape"].get("dim", ())
            ),
        )
        for name, info in infos.items()
    }
