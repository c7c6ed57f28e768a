"""Converts weights to and from PyTorch: the authors' model and fastai's `AWD_LSTM`.

PyTorch stores the matrices of an LSTM as (4 * units, inputs), with the gates in the order of Keras,
so that they are transposed. It has two biases whose sum acts: they are added on import, and the
second one is zero on export.
"""

import re

import numpy as np

from awd_keras.errors import InputError
from awd_keras.io.state_dict import to_array

FORMATS = ("authors", "fastai")

# Prefixes: DataParallel, torch.compile, and the position in a `torch.nn.Sequential`.
_NAME = re.compile(
    r"(?:module\.|_orig_mod\.|[01]\.)*"
    r"(?:(?P<encoder>encoder(?:_dp\.emb)?\.weight)|(?P<decoder>decoder\.(?:weight|bias))"
    r"|rnns\.(?P<layer>\d+)\.(?:module\.)?(?P<lstm>(?:weight|bias)_[ih]h_l0)(?P<raw>_raw)?)"
)
_MAX_PROBLEMS = 8


def infer_sizes(state_dict):
    """Infers the sizes of the model that a state dict belongs to.

    Args:
        state_dict: A dictionary of arrays or tensors, as returned by `read_state_dict`.

    Returns:
        A dictionary with the arguments `vocabulary_size`, `embedding_dim`, `hidden_dim`,
        `num_layers` and `tie_weights` of `AWDLSTMLanguageModel`. Weights are tied if the matrix of
        the softmax is missing or equal to the embedding.

    Raises:
        InputError: If weights are missing, unexpected or of inconsistent shapes.

    Example:

    >>> from awd_keras.models import AWDLSTMLanguageModel
    >>> model = AWDLSTMLanguageModel(100, embedding_dim=8, hidden_dim=16, num_layers=2)
    >>> infer_sizes(to_pytorch(model, "fastai"))["hidden_dim"]
    16
    """
    weights, unexpected = _canonical(state_dict)
    encoder, recurrent = weights.get("encoder.weight"), weights.get("rnns.0.weight_hh_l0")
    if encoder is None or recurrent is None or encoder.ndim != 2 or recurrent.ndim != 2:
        raise _does_not_fit(["encoder.weight and rnns.0.weight_hh_l0 must be matrices"], unexpected)
    decoder = weights.get("decoder.weight")
    sizes = {
        "vocabulary_size": encoder.shape[0],
        "embedding_dim": encoder.shape[1],
        "hidden_dim": recurrent.shape[1],
        "num_layers": len({name.split(".")[1] for name in weights if name.startswith("rnns.")}),
        "tie_weights": decoder is None or np.array_equal(decoder, encoder),
    }
    _check(weights, unexpected, sizes)
    return sizes


def from_pytorch(model, state_dict):
    """Assigns the weights of a PyTorch model.

    Args:
        model: An `AWDLSTMLanguageModel` of the same sizes, see `infer_sizes`.
        state_dict: A dictionary of arrays or tensors. The names may be the authors' or fastai's,
            with or without the wrappers of weight dropout, `DataParallel` and `torch.compile`.

    Raises:
        InputError: If weights are missing, unexpected, of another shape or not finite. Nothing is
            assigned.

    Example:

    >>> from awd_keras.models import AWDLSTMLanguageModel
    >>> model = AWDLSTMLanguageModel(100, embedding_dim=8, hidden_dim=16, num_layers=2)
    >>> from_pytorch(model, to_pytorch(model, "authors"))
    """
    weights, unexpected = _canonical(state_dict)
    _check(weights, unexpected, _sizes_of(model))
    backbone = model.backbone
    values = [(backbone.embedding.embeddings, weights["encoder.weight"])]
    for index, layer in enumerate(backbone.lstm_layers):
        prefix = f"rnns.{index}."
        kernel, recurrent_kernel, bias = layer.weights
        values += [
            (kernel, weights[f"{prefix}weight_ih_l0"].T),
            (recurrent_kernel, weights[f"{prefix}weight_hh_l0"].T),
            (bias, weights[f"{prefix}bias_ih_l0"] + weights[f"{prefix}bias_hh_l0"]),
        ]
    if not backbone.tie_weights:
        values.append((model.decoder.matrix, weights["decoder.weight"]))
    values.append((model.decoder.bias, weights["decoder.bias"]))
    for variable, array in values:
        variable.assign(array)


def to_pytorch(model, model_format):
    """Returns the weights of a model as a PyTorch state dict.

    Args:
        model: An `AWDLSTMLanguageModel`.
        model_format: `"authors"` for the authors' model with weight dropout, or `"fastai"`.

    Returns:
        A dictionary of NumPy arrays. Tied matrices are one array.

    Raises:
        InputError: If fastai has no such model: the last LSTM of an untied model has `hidden_dim`
            units here and `embedding_dim` there.

    Example:

    >>> from awd_keras.models import AWDLSTMLanguageModel
    >>> model = AWDLSTMLanguageModel(100, embedding_dim=8, hidden_dim=16, num_layers=2)
    >>> to_pytorch(model, "authors")["rnns.1.module.weight_ih_l0"].shape
    (32, 16)
    """
    if model_format not in FORMATS:
        raise ValueError(f"`model_format` must be one of {FORMATS}. Received: {model_format!r}")
    sizes, backbone = _sizes_of(model), model.backbone
    if model_format == "fastai" and backbone.output_dim != backbone.embedding_dim:
        raise InputError(
            f"The last LSTM of fastai's AWD_LSTM has embedding_dim={backbone.embedding_dim} units. "
            f"Received: a model with {backbone.output_dim}. Use the authors' format."
        )
    embedding = to_array("encoder.weight", backbone.embedding.embeddings.numpy())
    weights = {"encoder.weight": embedding, "decoder.weight": embedding}
    for index, layer in enumerate(backbone.lstm_layers):
        kernel, recurrent_kernel, bias = (
            to_array(variable.path, variable.numpy()) for variable in layer.weights
        )
        weights[f"rnns.{index}.weight_ih_l0"] = kernel.T
        weights[f"rnns.{index}.weight_hh_l0"] = recurrent_kernel.T
        weights[f"rnns.{index}.bias_ih_l0"] = bias
        weights[f"rnns.{index}.bias_hh_l0"] = np.zeros_like(bias)
    if not backbone.tie_weights:
        weights["decoder.weight"] = to_array("decoder.weight", model.decoder.matrix.numpy())
    weights["decoder.bias"] = to_array("decoder.bias", model.decoder.bias.numpy())
    state_dict = {_name_in(name, model_format): weights[name] for name in _shapes(**sizes)}
    if model_format == "fastai":
        state_dict["0.encoder_dp.emb.weight"] = embedding
    return state_dict


def _sizes_of(model):
    names = ("vocabulary_size", "embedding_dim", "hidden_dim", "num_layers", "tie_weights")
    return {name: getattr(model.backbone, name) for name in names}


def _canonical(state_dict):
    """Returns arrays by name without prefixes and wrappers, and the names of other entries."""
    weights, unexpected, raw = {}, [], set()
    for key, value in state_dict.items():
        match = _NAME.fullmatch(key)
        if match is None:
            unexpected.append(key)
            continue
        name = match["decoder"] or "encoder.weight"
        if match["layer"]:
            name = f"rnns.{match['layer']}.{match['lstm']}"
        # `weight_hh_l0` is a copy of `weight_hh_l0_raw` with dropped entries.
        if name in raw:
            continue
        if match["raw"]:
            raw.add(name)
        weights[name] = to_array(key, value)
    return weights, unexpected


def _shapes(vocabulary_size, embedding_dim, hidden_dim, num_layers, tie_weights):
    """Returns the shapes of PyTorch's weights by canonical name."""
    units = [hidden_dim] * (num_layers - 1) + [embedding_dim if tie_weights else hidden_dim]
    shapes = {"encoder.weight": (vocabulary_size, embedding_dim)}
    for index, (inputs, outputs) in enumerate(zip([embedding_dim, *units], units)):
        shapes[f"rnns.{index}.weight_ih_l0"] = (4 * outputs, inputs)
        shapes[f"rnns.{index}.weight_hh_l0"] = (4 * outputs, outputs)
        shapes[f"rnns.{index}.bias_ih_l0"] = (4 * outputs,)
        shapes[f"rnns.{index}.bias_hh_l0"] = (4 * outputs,)
    shapes["decoder.weight"] = (vocabulary_size, units[-1])
    shapes["decoder.bias"] = (vocabulary_size,)
    return shapes


def _check(weights, unexpected, sizes):
    shapes, problems = _shapes(**sizes), []
    for name, shape in shapes.items():
        array = weights.get(name)
        if array is None:
            if name != "decoder.weight" or not sizes["tie_weights"]:
                problems.append(f"{name} is missing, expected shape {shape}")
        elif array.shape != shape:
            problems.append(f"{name} has shape {array.shape}, expected {shape}")
        elif not np.all(np.isfinite(array)):
            problems.append(f"{name} contains NaN or infinity")
    unexpected = unexpected + [name for name in weights if name not in shapes]
    if not problems and sizes["tie_weights"] and "decoder.weight" in weights:
        if not np.array_equal(weights["decoder.weight"], weights["encoder.weight"]):
            problems.append("decoder.weight differs from encoder.weight, expected tied weights")
    if problems or unexpected:
        raise _does_not_fit(problems, unexpected)


def _does_not_fit(problems, unexpected):
    problems = problems + [f"{name} is unexpected" for name in sorted(unexpected)]
    shown = "; ".join(problems[:_MAX_PROBLEMS])
    more = len(problems) - _MAX_PROBLEMS
    return InputError(
        f"The weights do not fit the model: {shown}{f'; and {more} more' if more > 0 else ''}."
    )


def _name_in(name, model_format):
    """Returns the name of a weight in the state dict of a model with weight dropout."""
    name = name.replace("weight_hh_l0", "weight_hh_l0_raw")
    if model_format == "authors":
        return re.sub(r"^(rnns\.\d+)\.", r"\1.module.", name)
    # fastai keeps the raw matrix outside the wrapped LSTM.
    name = re.sub(r"^(rnns\.\d+)\.(?!weight_hh)", r"\1.module.", name)
    return f"{'1' if name.startswith('decoder') else '0'}.{name}"
