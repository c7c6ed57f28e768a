"""TF-Serving's JSON for tensors: rows (`instances`, `predictions`), columns (`inputs`, `outputs`).

Arrays of strings are NumPy arrays of `bytes` objects. A string that is no text is written
`{"b64": "..."}` both ways; in answers, TF-Serving does so for outputs whose name ends in `_bytes`.
"""

import base64
import binascii
import json

import numpy as np

from serving.status import StatusError

# A list of lists of ...: more than the rank of any tensor, less than Python's own stack.
_MAX_DEPTH = 64


def parse_request(body):
    """Reads the body of a predict request.

    Args:
        body: bytes.

    Returns:
        dictionary.

    Raises:
        StatusError: INVALID_ARGUMENT, if it is not a JSON object.
    """
    try:
        request = json.loads(body.decode("utf-8"))
    except (ValueError, RecursionError) as error:  # UnicodeDecodeError is a ValueError too
        raise _invalid(f"JSON Parse error: {error}") from None
    if not isinstance(request, dict):
        raise _invalid(f"JSON Value: {_shown(request)} Is not object")
    name = request.get("signature_name", "")
    if not isinstance(name, str):
        raise _invalid("'signature_name' key must be a string value.")
    return request


def read_inputs(request, dtypes):
    """Takes the inputs out of a request.

    Args:
        request: dictionary, as `parse_request` gives it.
        dtypes: dictionary of input name to NumPy dtype; `object` for strings.

    Returns:
        `(arrays, by_row)`: dictionary of input name to array, and whether the answer is to be
        written by row.

    Raises:
        StatusError: INVALID_ARGUMENT, if they are not what the signature takes.

    Example:

    >>> read_inputs({"instances": ["a", "b"]}, {"text": np.dtype(object)})
    ({'text': array([b'a', b'b'], dtype=object)}, True)
    """
    if ("instances" in request) == ("inputs" in request):
        given = "both" if "inputs" in request else "neither"
        raise _invalid(f"expected one of the keys 'inputs' or 'instances'. Received: {given}")
    if "inputs" in request:
        columns = request["inputs"]
        if not isinstance(columns, dict) or _is_base64(columns):
            columns = {_only(dtypes, "inputs"): columns}
        # As in TF-Serving, keys that the signature does not have are left unread.
        missing = sorted(set(dtypes) - set(columns))
        if missing:
            raise _invalid(f"Missing named input: {missing[0]} in 'inputs' object.")
        return {name: _to_array(name, columns[name], dtypes[name]) for name in dtypes}, False
    rows = request["instances"]
    if not isinstance(rows, list) or not rows:
        raise _invalid(f"expected 'instances' to be a list of values. Received: {_shown(rows)}")
    if not isinstance(rows[0], dict) or _is_base64(rows[0]):
        name = _only(dtypes, "instances")
        rows = [{name: row} for row in rows]
    for index, row in enumerate(rows):
        if not isinstance(row, dict) or set(row) != set(dtypes):
            raise _invalid(
                f"Failed to process element: {index} of 'instances' list. JSON object: "
                f"{_shown(row)} keys must be equal to: {','.join(sorted(dtypes))}"
            )
    columns = {name: [row[name] for row in rows] for name in dtypes}
    return {name: _to_array(name, columns[name], dtypes[name]) for name in dtypes}, True


def write_outputs(arrays, by_row):
    """Makes the body of an answer.

    Args:
        arrays: dictionary of output name to array.
        by_row: whether by row.

    Returns:
        bytes. Infinities and NaN are written `Infinity`, `-Infinity` and `NaN`, as TF-Serving does.

    Raises:
        StatusError: INVALID_ARGUMENT, if by row the outputs differ in their first dimension.

    Example:

    >>> write_outputs({"n": np.array([1, 2]), "p": np.array([0.5, 1.0], np.float32)}, True)
    b'{"predictions": [{"n": 1, "p": 0.5}, {"n": 2, "p": 1.0}]}'
    """
    columns = {name: _to_json(name, array) for name, array in arrays.items()}
    if not by_row:
        answer = columns if len(columns) > 1 else next(iter(columns.values()))
        return _encoded({"outputs": answer})
    sizes = {array.shape[0] if array.ndim else None for array in arrays.values()}
    if len(sizes) > 1 or None in sizes:
        raise _invalid("the outputs differ in their first dimension: ask by 'inputs'")
    if len(columns) == 1:
        return _encoded({"predictions": next(iter(columns.values()))})
    rows = [dict(zip(columns, values)) for values in zip(*columns.values())]
    return _encoded({"predictions": rows})


def encode_input(array):
    r"""Makes JSON values of an input; strings that are no UTF-8 become base64.

    Args:
        array: NumPy array.

    Returns:
        nested lists.

    Example:

    >>> encode_input(np.array([b"caf\xc3\xa9", b"\xff"], object))
    ['café', {'b64': '/w=='}]
    """
    return _nested(array, _text_or_base64) if array.dtype == object else array.tolist()


def decode_output(value, dtype):
    """Makes an array of an answer's values.

    Args:
        value: nested lists.
        dtype: NumPy dtype; `object` for strings.

    Returns:
        array.

    Raises:
        StatusError: INVALID_ARGUMENT, if they are no array of that type.
    """
    return _to_array("answer", value, dtype)


def _encoded(answer):
    return json.dumps(answer, ensure_ascii=False).encode("utf-8")


def _invalid(message):
    return StatusError("INVALID_ARGUMENT", message)


def _shown(value):
    text = json.dumps(value)
    return text if len(text) <= 200 else f"{text[:200]}..."


def _only(dtypes, key):
    if len(dtypes) > 1:
        raise _invalid(
            f"'{key}' names no input, and the signature has several: {','.join(sorted(dtypes))}"
        )
    return next(iter(dtypes))


def _is_base64(value):
    return isinstance(value, dict) and set(value) == {"b64"} and isinstance(value["b64"], str)


def _to_array(name, value, dtype):
    shape = _shape_of(value)
    leaves = []
    try:
        _collect(value, shape, 0, leaves)
        array = _READERS[dtype.kind](leaves, dtype)
    except (TypeError, ValueError, OverflowError) as error:
        raise _invalid(f"Failed to process key: {name}. Error: {error}") from None
    return array.reshape(shape)


def _shape_of(value):
    """The lengths of a list's first element, its first element, and so on."""
    shape = []
    while isinstance(value, list):
        shape.append(len(value))
        if len(shape) > _MAX_DEPTH:
            raise _invalid(f"lists are nested deeper than {_MAX_DEPTH} levels")
        if not value:
            break
        value = value[0]
    return tuple(shape)


def _collect(value, shape, level, leaves):
    if level == len(shape):
        if isinstance(value, list):
            raise ValueError(f"Encountered list at unexpected level: {level} expected < {level}")
        leaves.append(value)
        return
    if not isinstance(value, list):
        raise ValueError(
            f"JSON Value: {_shown(value)} found at incorrect level: {level + 1}. Expected at "
            f"level: {len(shape)}"
        )
    if len(value) != shape[level]:
        raise ValueError(
            f"Encountered list at unexpected size: {len(value)} at level: {level} expected size: "
            f"{shape[level]}"
        )
    if level + 1 == len(shape) and list not in set(map(type, value)):
        leaves.extend(value)
        return
    for item in value:
        _collect(item, shape, level + 1, leaves)


def _check_types(leaves, dtype, expected):
    if not set(map(type, leaves)) <= expected:
        wrong = next(leaf for leaf in leaves if type(leaf) not in expected)
        kind = "string" if dtype.kind == "O" else dtype.name
        raise TypeError(f"JSON Value: {_shown(wrong)} is not of expected type: {kind}")


def _read_floats(leaves, dtype):
    _check_types(leaves, dtype, {int, float})
    array = np.array(leaves, np.float64)
    lost = np.isfinite(array) & (np.abs(array) > np.finfo(dtype).max)
    if lost.any():
        wrong = leaves[int(np.argmax(lost))]
        raise ValueError(f"Cannot convert JSON value: {_shown(wrong)} without loss of precision.")
    return array.astype(dtype)


def _read_integers(leaves, dtype):
    _check_types(leaves, dtype, {int})
    return np.array(leaves, dtype)  # OverflowError beyond its limits


def _read_booleans(leaves, dtype):
    _check_types(leaves, dtype, {bool})
    return np.array(leaves, dtype)


def _read_strings(leaves, dtype):
    array = np.empty(len(leaves), object)
    for index, leaf in enumerate(leaves):
        if _is_base64(leaf):
            array[index] = _decode_base64(leaf["b64"])
        else:
            _check_types([leaf], dtype, {str})
            array[index] = leaf.encode("utf-8")  # a lone surrogate, "\ud800", is a ValueError
    return array


def _decode_base64(text):
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        raise ValueError("Unable to base64 decode") from None


_READERS = {
    "f": _read_floats,
    "i": _read_integers,
    "u": _read_integers,
    "b": _read_booleans,
    "O": _read_strings,
}


def _to_json(name, array):
    if array.dtype == object:
        return _nested(array, _base64 if name.endswith("_bytes") else _text)
    if array.dtype == np.float32:
        array = _nine_digits(array)
    return array.tolist()


def _nine_digits(array):
    """Float32 as the float64 with the nine decimal digits that give the float32 back.

    Written out, a plain conversion would show sixteen.
    """
    array = array.astype(np.float64)
    digits = np.isfinite(array) & (np.abs(array) > 1e-12) & (np.abs(array) < 1e12)
    known = np.where(digits, array, 1.0)
    scale = 10.0 ** (8 - np.floor(np.log10(np.abs(known))))
    return np.where(digits, np.round(known * scale) / scale, array)


def _nested(array, write):
    if array.ndim == 0:
        return write(array.item())
    return [_nested(item, write) if array.ndim > 1 else write(item) for item in array]


def _text(value):
    return value.decode("utf-8", "replace")


def _base64(value):
    return {"b64": base64.b64encode(value).decode("ascii")}


def _text_or_base64(value):
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return _base64(value)
