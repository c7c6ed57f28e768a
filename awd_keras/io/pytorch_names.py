"""Names and shapes of the weights of PyTorch models: the authors' `RNNModel`, fastai's `AWD_LSTM`.

A *part* says what a weight is, whatever a model calls it: `("encoder", None)`, `("weight_ih", 0)`.
"""

import re

import numpy as np

from awd_keras.errors import InputError
from awd_keras.io.state_dict import to_array

FORMATS = ("authors", "fastai")
SOURCES = ("auto", *FORMATS)

ENCODER, DECODER, DECODER_BIAS = ("encoder", None), ("decoder", None), ("decoder_bias", None)
LSTM_PARTS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")

# How many problems, and how many names, an error tells.
_SHOWN = 8
# DataParallel and torch.compile put these before all names.
_WRAPPERS = re.compile(r"(?:module\.|_orig_mod\.)*")
_LSTM = r"rnns\.(\d{1,6})\.(?:module\.)?(weight_ih|weight_hh|bias_ih|bias_hh)_l0(_raw)?"
_PATTERNS = {
    "authors": (r"(?:0\.)?encoder\.weight", r"(?:0\.)?" + _LSTM, r"(?:0\.)?decoder\.(weight|bias)"),
    "fastai": (
        r"(?:0\.)?encoder(?:_dp\.emb)?\.weight",
        r"(?:0\.)?" + _LSTM,
        r"1\.decoder\.(weight|bias)",
    ),
}


def detect_format(names):
    """Says which model the names are of.

    Args:
        names: the names in a state dict.

    Returns:
        "fastai" if it has fastai's own names, else "authors".

    Example:

    >>> detect_format(["0.encoder.weight", "1.decoder.bias"])
    'fastai'
    """
    names = [_WRAPPERS.sub("", name, count=1) for name in names]
    own = any("encoder_dp." in name or name.startswith("1.decoder.") for name in names)
    return "fastai" if own else "authors"


def match_names(names, source):
    """Says what each name stands for.

    Args:
        names: the names in a state dict.
        source: "authors" or "fastai".

    Returns:
        `(parts, unexpected)`: a dictionary of part to the names that hold it, and the names that no
        weight of the model has. Beside a `weight_hh_l0_raw`, `weight_hh_l0` is left out: it is the
        copy with dropped entries that PyTorch makes of it.

    Example:

    >>> match_names(["rnns.0.weight_hh_l0_raw", "rnns.0.weight_hh_l0", "x"], "authors")
    ({('weight_hh', 0): ['rnns.0.weight_hh_l0_raw']}, ['x'])
    """
    encoder, lstm, decoder = (re.compile(pattern) for pattern in _PATTERNS[source])
    parts, unexpected, raw = {}, [], set()
    for name in names:
        bare = _WRAPPERS.sub("", name, count=1)
        if encoder.fullmatch(bare):
            part = ENCODER
        elif match := lstm.fullmatch(bare):
            part = (match[2], int(match[1]))
            if match[3]:
                raw.add(name)
        elif match := decoder.fullmatch(bare):
            part = DECODER if match[1] == "weight" else DECODER_BIAS
        else:
            unexpected.append(name)
            continue
        parts.setdefault(part, []).append(name)
    for part, named in parts.items():
        parts[part] = [name for name in named if name in raw] or named
    return parts, unexpected


def name_of(part, model_format):
    """What a model calls a weight.

    Args:
        part: what it is.
        model_format: "authors" or "fastai".

    Returns:
        the name; of several, the one that the model itself writes first.

    Example:

    >>> name_of(("weight_hh", 2), "authors"), name_of(("weight_hh", 2), "fastai")
    ('rnns.2.module.weight_hh_l0_raw', '0.rnns.2.weight_hh_l0_raw')
    """
    kind, layer = part
    encoder, decoder = ("0.", "1.") if model_format == "fastai" else ("", "")
    if part == ENCODER:
        return f"{encoder}encoder.weight"
    if part in (DECODER, DECODER_BIAS):
        return f"{decoder}decoder.{'weight' if part == DECODER else 'bias'}"
    if kind != "weight_hh":
        return f"{encoder}rnns.{layer}.module.{kind}_l0"
    # The authors' wrapper keeps the raw matrix in the LSTM, fastai's in itself.
    return f"{encoder}rnns.{layer}.{'module.' if model_format == 'authors' else ''}weight_hh_l0_raw"


def expected_shapes(vocabulary_size, embedding_dim, hidden_dim, num_layers, tie_weights):
    """The shapes that PyTorch's weights have.

    Args:
        vocabulary_size, embedding_dim, hidden_dim, num_layers, tie_weights: of the model.

    Returns:
        dictionary of part to shape. When tied, the decoder's matrix may be missing from a state
        dict; everything else must be there.
    """
    units = [hidden_dim] * (num_layers - 1) + [embedding_dim if tie_weights else hidden_dim]
    shapes = {ENCODER: (vocabulary_size, embedding_dim)}
    for layer, (inputs, outputs) in enumerate(zip([embedding_dim, *units], units)):
        shapes["weight_ih", layer] = (4 * outputs, inputs)
        shapes["weight_hh", layer] = (4 * outputs, outputs)
        shapes["bias_ih", layer] = shapes["bias_hh", layer] = (4 * outputs,)
    shapes[DECODER] = (vocabulary_size, units[-1])
    shapes[DECODER_BIAS] = (vocabulary_size,)
    return shapes


def match_arrays(state_dict, source, sizes):
    """Says what each array stands for, if all of them are those of a model.

    Args:
        state_dict: dictionary of arrays or tensors.
        source: "authors" or "fastai".
        sizes: arguments of `expected_shapes`.

    Returns:
        dictionary of part to array. When tied, the decoder's matrix may be missing.

    Raises:
        InputError: naming everything that does not fit.
    """
    parts, unexpected = match_names(state_dict, source)
    shapes, weights, problems = expected_shapes(**sizes), {}, []
    for part, shape in shapes.items():
        if part not in parts:
            if part != DECODER or not sizes["tie_weights"]:
                problems.append(f"{name_of(part, source)} is missing, expected with shape {shape}")
            continue
        arrays = {name: to_array(name, state_dict[name]) for name in parts[part]}
        wrong = [name for name, array in arrays.items() if array.shape != shape]
        problems += [f"{name} has shape {arrays[name].shape}, expected {shape}" for name in wrong]
        weights[part], *copies = arrays.values()
        if not wrong and not all(are_equal(weights[part], copy) for copy in copies):
            problems.append(f"{' and '.join(arrays)} differ, expected one matrix by both names")
    if ENCODER in parts and not any("decoder" in name for name in state_dict):
        problems.append("there is an encoder alone: save the whole language model")
    for part in set(parts) - set(shapes):
        unexpected += parts[part]
    tied = sizes["tie_weights"] and not problems and DECODER in weights
    if tied and not are_equal(weights[DECODER], weights[ENCODER]):
        names = f"{parts[DECODER][0]} differs from {parts[ENCODER][0]}"
        problems.append(f"{names}, expected one matrix, as the model has tie_weights=True")
    if problems or unexpected:
        raise does_not_fit(problems, unexpected)
    return weights


def are_equal(one, other):
    """Says whether two arrays hold the same numbers."""
    return one is other or np.array_equal(one, other, equal_nan=True)


def does_not_fit(problems, unexpected):
    """The error that tells of weights that do not fit.

    Args:
        problems: sentences.
        unexpected: names that no weight has.

    Returns:
        a `InputError`.
    """
    if unexpected:
        problems = [*problems, f"no weight of the model is called {_some(sorted(unexpected))}"]
    return InputError(f"The weights do not fit: {_some(problems, '; ')}. Nothing was assigned.")


def _some(items, separator=", "):
    more = [f"and {len(items) - _SHOWN} more"] if len(items) > _SHOWN else []
    return separator.join([*items[:_SHOWN], *more])
