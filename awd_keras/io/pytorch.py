"""Converts weights to and from PyTorch: the authors' model and fastai's `AWD_LSTM`.

It also reads PyTorch's word language model example, which has one `nn.LSTM` of several layers.

PyTorch stores the matrices of an LSTM transposed, as (4 * units, inputs), with the gates in Keras's
order. Its LSTM has two biases: they are summed on import, and the second one is zero on export. The
authors' QRNN has the gates and inputs in the order of `WeightDropQRNN`.
"""

import re
import warnings

import numpy as np

from awd_keras.errors import InputError
from awd_keras.io.state_dict import to_array

FORMATS = ("authors", "fastai")

# Prefixes: DataParallel, torch.compile, and the position in a `torch.nn.Sequential`.
_NAME = re.compile(
    r"(?:module\.|_orig_mod\.|[01]\.)*"
    r"(?:(?P<encoder>encoder(?:_dp\.emb|_with_dropout\.embed)?\.weight)"
    r"|(?P<decoder>decoder\.(?:weight|bias))"
    r"|(?:rnns\.(?P<layer>\d+)\.(?:module\.)?(?=\w+_l0)|rnn\.)"
    r"(?P<lstm>(?:weight|bias)_[ih]h)_l(?P<index>\d+)(?:_raw)?"
    r"|(?P<qrnn>rnns\.\d+\.)(?:layers\.0\.)?linear\.(?:module\.)?(?P<linear>weight|bias)(?:_raw)?)"
)
_MAX_PROBLEMS = 8


def infer_sizes(state_dict):
    """Infers the sizes of the model that a state dict belongs to.

    Args:
        state_dict: A dictionary of arrays or tensors, as returned by `read_state_dict`.

    Returns:
        A dictionary with the arguments `vocabulary_size`, `embedding_dim`, `hidden_dim`,
        `num_layers`, `tie_weights` and `rnn` of `AWDLSTMLanguageModel`. Weights are tied if the
        softmax matrix is missing or equal to the embedding.

    Raises:
        InputError: If the embedding or the first layer is missing, or is not an LSTM or QRNN.
    """
    weights = _canonical(state_dict)
    rnn, num_gates, matrix = "lstm", 4, "rnns.0.weight_hh_l0"
    if "rnns.0.linear.weight" in weights:
        rnn, num_gates, matrix = "qrnn", 3, "rnns.0.linear.weight"
    encoder, recurrent = weights.get("encoder.weight"), weights.get(matrix)
    if encoder is None or recurrent is None or encoder.ndim != 2 or recurrent.ndim != 2:
        raise InputError(
            "The weights must contain the matrices encoder.weight and rnns.0.weight_hh_l0 or "
            f"rnn.weight_hh_l0. Received: {', '.join(sorted(state_dict)[:_MAX_PROBLEMS]) or 'none'}"
        )
    hidden_dim = recurrent.shape[0] // num_gates
    if rnn == "lstm" and recurrent.shape != (num_gates * hidden_dim, hidden_dim):
        raise InputError(
            "The layers must be QRNNs or LSTMs, whose recurrent matrix has four times as many rows "
            f"as columns. Received: rnns.0.weight_hh_l0 of shape {recurrent.shape}"
        )
    decoder = weights.get("decoder.weight")
    return {
        "vocabulary_size": encoder.shape[0],
        "embedding_dim": encoder.shape[1],
        "hidden_dim": hidden_dim,
        "num_layers": len({name.split(".")[1] for name in weights if _is_recurrent(name)}),
        "tie_weights": decoder is None or np.array_equal(decoder, encoder),
        "rnn": rnn,
    }


def from_pytorch(model, state_dict):
    """Assigns the weights of a PyTorch model.

    Args:
        model: An `AWDLSTMLanguageModel` of the same sizes; see `infer_sizes`.
        state_dict: A dictionary of arrays or tensors. The names may be the authors', fastai's (of
            any version) or those of PyTorch's word language model, with or without the wrappers of
            weight dropout, `DataParallel` and `torch.compile`. A tied `decoder.weight` may be
            missing. A missing `decoder.bias`, as in fastai 0.7, is zeros, with a warning.

    Raises:
        InputError: If weights are missing, unexpected, of the wrong shape or not finite, or the
            model has other layers. In this case, nothing is assigned.

    Example:

    >>> from awd_keras.models import AWDLSTMLanguageModel
    >>> model = AWDLSTMLanguageModel(100, embedding_dim=8, hidden_dim=16, num_layers=2)
    >>> state_dict = to_pytorch(model, "authors")
    >>> state_dict["rnns.1.module.weight_ih_l0"].shape
    (32, 16)
    >>> from_pytorch(AWDLSTMLanguageModel(**infer_sizes(state_dict)), state_dict)
    """
    weights = _canonical(state_dict)
    has_bias = "decoder.bias" in weights
    if not has_bias:
        weights["decoder.bias"] = np.zeros(model.decoder.bias.shape, "float32")
    if model.backbone.tie_weights and "encoder.weight" in weights:
        weights.setdefault("decoder.weight", weights["encoder.weight"])
    parameters, problems = _parameters(model), []
    for name, variable in parameters.items():
        shape = tuple(variable.shape)[:: -1 if _is_recurrent(name) else 1]
        if name not in weights:
            problems.append(f"{name} is missing, expected shape {shape}")
        elif weights[name].shape != shape:
            problems.append(f"{name} has shape {weights[name].shape}, expected {shape}")
        elif not np.all(np.isfinite(weights[name])):
            problems.append(f"{name} contains NaN or infinity")
    problems += [f"{name} is unexpected" for name in sorted(set(weights) - set(parameters))]
    if not problems and model.backbone.tie_weights:
        if not np.array_equal(weights["decoder.weight"], weights["encoder.weight"]):
            problems.append("decoder.weight differs from encoder.weight, expected tied weights")
    if problems:
        shown = "; ".join(problems[:_MAX_PROBLEMS])
        more = len(problems) - _MAX_PROBLEMS
        raise InputError(
            f"The weights do not fit the model: {shown}{f'; and {more} more' if more > 0 else ''}."
        )
    if not has_bias:
        warnings.warn("The weights contain no decoder.bias; it is set to zeros.", stacklevel=2)
    for name, variable in parameters.items():
        array = weights[name]
        if "bias_ih" in name:
            array = array + weights[name.replace("bias_ih", "bias_hh")]
        if "bias_hh" not in name:
            variable.assign(array.T if _is_recurrent(name) else array)


def to_pytorch(model, model_format):
    """Returns the weights of a model as a PyTorch state dict.

    Args:
        model: An `AWDLSTMLanguageModel`.
        model_format: `"authors"` for the authors' model with weight dropout, or `"fastai"`.

    Returns:
        A dictionary of NumPy arrays. Tied matrices are the same array.

    Raises:
        InputError: If the model has layers other than LSTMs or QRNNs, or fastai has no such model:
            it has only LSTMs here, and the last one always has `embedding_dim` units, while that of
            an untied model in this library has `hidden_dim`.
    """
    if model_format not in FORMATS:
        raise ValueError(f"`model_format` must be one of {FORMATS}. Received: {model_format!r}")
    backbone = model.backbone
    if model_format == "fastai" and backbone.rnn == "qrnn":
        raise InputError("QRNNs are written in the authors' format only. Received: fastai")
    if model_format == "fastai" and backbone.output_dim != backbone.embedding_dim:
        raise InputError(
            f"The last LSTM of fastai's AWD_LSTM has embedding_dim={backbone.embedding_dim} units. "
            f"Received: a model with {backbone.output_dim}. Use the authors' format."
        )
    weights = {}
    for name, variable in _parameters(model).items():
        array = to_array(name, variable.numpy())
        if "bias_hh" in name:
            array = np.zeros_like(array)
        weights[name] = array.T if _is_recurrent(name) else array
    if backbone.tie_weights:
        weights["decoder.weight"] = weights["encoder.weight"]
    state_dict = {_name_in(name, model_format): array for name, array in weights.items()}
    if model_format == "fastai":
        state_dict["0.encoder_dp.emb.weight"] = weights["encoder.weight"]
    return state_dict


def _parameters(model):
    """Returns a model's variables, keyed by their PyTorch names without prefixes and wrappers."""
    layers = {type(layer).__name__ for layer in (*model.backbone.lstm_layers, model.decoder)}
    others = sorted(layers - {"WeightDropLSTM", "WeightDropQRNN", "TiedDecoder"})
    if others:
        raise InputError(
            "The weights must be those of LSTMs or QRNNs and a full softmax. "
            f"Received: {', '.join(others)}"
        )
    parameters = {"encoder.weight": model.backbone.embedding.embeddings}
    for index, layer in enumerate(model.backbone.lstm_layers):
        if model.backbone.rnn == "qrnn":
            names, variables = ("linear.weight", "linear.bias"), layer.weights
        else:
            names = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
            variables = [*layer.weights, layer.weights[-1]]
        for name, variable in zip(names, variables, strict=True):
            parameters[f"rnns.{index}.{name}"] = variable
    parameters["decoder.weight"] = model.decoder.matrix
    parameters["decoder.bias"] = model.decoder.bias
    return parameters


def _is_recurrent(name):
    return name.startswith("rnns.")


def _canonical(state_dict):
    """Removes prefixes and wrappers from the names of weights. Other entries are kept as is."""
    weights = {}
    # `weight_hh_l0_raw` comes last and replaces `weight_hh_l0`, a copy with dropped entries.
    for key in sorted(state_dict, key=lambda key: key.endswith("_raw")):
        match, value = _NAME.fullmatch(key), state_dict[key]
        if match is None:
            weights[key] = value
        elif match["qrnn"]:
            weights[f"{match['qrnn']}linear.{match['linear']}"] = to_array(key, value)
        elif match["lstm"]:
            layer = match["layer"] or match["index"]
            weights[f"rnns.{layer}.{match['lstm']}_l0"] = to_array(key, value)
        else:
            weights[match["decoder"] or "encoder.weight"] = to_array(key, value)
    return weights


def _name_in(name, model_format):
    """Returns the name of a weight in the state dict of a model with weight dropout."""
    name = name.replace("weight_hh_l0", "weight_hh_l0_raw")
    if ".linear." in name:
        return name.replace(".linear.", ".linear.module.").replace("weight", "weight_raw")
    if model_format == "authors":
        return re.sub(r"^(rnns\.\d+)\.", r"\1.module.", name)
    # fastai keeps the raw matrix outside the wrapped LSTM.
    name = re.sub(r"^(rnns\.\d+)\.(?!weight_hh)", r"\1.module.", name)
    return f"{'1' if name.startswith('decoder') else '0'}.{name}"
