"""Weights of a language model to and from the state dict of a PyTorch model.

PyTorch keeps an LSTM's matrices as (4 * units, inputs), with the gates in the order i, f, g, o,
which is ours (i, f, c, o): they are transposed. It has two biases, which act by their sum: coming
in they are summed; going out the first is ours and the second zero.
"""

import numpy as np

from awd_keras.errors import InputError
from awd_keras.io.pytorch_names import (
    DECODER,
    DECODER_BIAS,
    ENCODER,
    FORMATS,
    LSTM_PARTS,
    SOURCES,
    are_equal,
    detect_format,
    does_not_fit,
    expected_shapes,
    match_arrays,
    match_names,
    name_of,
)
from awd_keras.io.state_dict import to_array
from awd_keras.models.language_model import AWDLSTMLanguageModel


def infer_sizes(state_dict, source="auto"):
    """The sizes of the model that a state dict belongs to.

    Args:
        state_dict: dictionary of arrays, as `read_state_dict` returns it.
        source: whose names they are: "authors", "fastai" or "auto".

    Returns:
        dictionary of `vocabulary_size`, `embedding_dim`, `hidden_dim`, `num_layers` and
        `tie_weights`: arguments of `AWDLSTMLanguageModel`. A softmax is tied if its matrix is the
        embedding's or missing. A tied model of one layer has no `hidden_dim`: the embedding's is
        given.

    Raises:
        InputError: if weights are missing, unexpected or of shapes that do not fit together.

    Example:

    >>> model = AWDLSTMLanguageModel(100, embedding_dim=8, hidden_dim=16, num_layers=2)
    >>> infer_sizes(to_pytorch(model, "fastai"))["hidden_dim"]
    16
    """
    source = _check_choice("source", source, SOURCES)
    source = detect_format(state_dict) if source == "auto" else source
    parts, unexpected = match_names(state_dict, source)
    # Counted, as a number in a name may be anything.
    num_layers = len({layer for _, layer in parts if layer is not None})
    first, last = ("weight_hh", 0), ("weight_hh", num_layers - 1)
    # These two say the rest; what they say is then held against all others.
    if not {ENCODER, first} <= set(parts):
        form = {ENCODER: "(words, embedding_dim)", first: "(4 * hidden_dim, hidden_dim)"}
        problems = [
            f"{name_of(part, source)} is missing, expected with shape {shape}"
            for part, shape in form.items()
            if part not in parts
        ]
        raise does_not_fit(problems, unexpected)
    shapes = {part: tuple(state_dict[names[0]].shape) for part, names in parts.items()}
    for part in (ENCODER, first):
        if len(shapes[part]) != 2 or min(shapes[part]) < 1:
            problem = f"{parts[part][0]} has shape {shapes[part]}, expected a matrix"
            raise does_not_fit([problem], unexpected)
    vocabulary_size, embedding_dim = shapes[ENCODER]
    hidden_dim = shapes[first][1]
    # Untied, our last LSTM has hidden_dim units; fastai's has embedding_dim all the same.
    is_small = shapes.get(last, ())[1:] == (embedding_dim,) != (hidden_dim,)
    if DECODER not in parts:
        tie_weights = True
    elif shapes[DECODER] != shapes[ENCODER]:
        tie_weights = is_small
    else:
        names = [parts[part][0] for part in (DECODER, ENCODER)]
        tie_weights = are_equal(*(to_array(name, state_dict[name]) for name in names))
    if is_small and not tie_weights:
        problem = (
            f"{parts[DECODER][0]} is not {parts[ENCODER][0]}, so the softmax is untied; then this "
            f"library's last LSTM has {hidden_dim} units, as the others, but here it has "
            f"{embedding_dim}"
        )
        raise does_not_fit([problem], unexpected)
    sizes = {
        "vocabulary_size": vocabulary_size,
        "embedding_dim": embedding_dim,
        "hidden_dim": hidden_dim,
        "num_layers": num_layers,
        "tie_weights": tie_weights,
    }
    match_arrays(state_dict, source, sizes)
    return sizes


def from_pytorch(model, state_dict, source="auto"):
    """Assigns the weights of a PyTorch model to a model.

    Args:
        model: `AWDLSTMLanguageModel` of the same sizes (see `infer_sizes`).
        state_dict: dictionary of arrays or tensors. Names may have or lack `module.` and `_raw`,
            and may begin with the `module.` of DataParallel.
        source: whose names they are: "authors", "fastai" or "auto".

    Raises:
        InputError: if weights are missing, unexpected, of another shape, or not finite; all of
            them are named, and nothing is assigned.

    Example:

    >>> model = AWDLSTMLanguageModel(100, embedding_dim=8, hidden_dim=16, num_layers=2)
    >>> from_pytorch(model, to_pytorch(model, "authors"))
    """
    source = _check_choice("source", source, SOURCES)
    source = detect_format(state_dict) if source == "auto" else source
    weights = match_arrays(state_dict, source, _sizes_of(model))
    backbone = model.backbone
    values = [(backbone.embedding.embeddings, weights[ENCODER], ENCODER)]
    for layer, lstm in enumerate(backbone.lstm_layers):
        values += [
            (lstm.kernel, weights["weight_ih", layer].T, ("weight_ih", layer)),
            (lstm.recurrent_kernel, weights["weight_hh", layer].T, ("weight_hh", layer)),
            (lstm.bias, weights["bias_ih", layer] + weights["bias_hh", layer], ("bias_ih", layer)),
        ]
    if not backbone.tie_weights:
        values.append((model.decoder.matrix, weights[DECODER], DECODER))
    values.append((model.decoder.bias, weights[DECODER_BIAS], DECODER_BIAS))

    with np.errstate(over="ignore"):
        values = [(weight, array.astype(weight.dtype), part) for weight, array, part in values]
    problems = [
        f"{name_of(part, source)} holds numbers that are not finite in {array.dtype}"
        for _, array, part in values
        if not np.all(np.isfinite(array))
    ]
    if problems:
        raise does_not_fit(problems, [])
    for variable, array, _ in values:
        variable.assign(array)


def to_pytorch(model, model_format):
    """The weights of a model as a PyTorch model has them.

    The authors' names are those with weight dropout (`--wdrop` above 0), as theirs in the paper.

    Args:
        model: `AWDLSTMLanguageModel`.
        model_format: "authors" or "fastai".

    Returns:
        dictionary of NumPy arrays; those of a tied matrix are one array.

    Raises:
        InputError: if fastai has no such model: untied, its last LSTM has `embedding_dim`
            units, where ours has `hidden_dim`.

    Example:

    >>> model = AWDLSTMLanguageModel(100, embedding_dim=8, hidden_dim=16, num_layers=2)
    >>> to_pytorch(model, "authors")["rnns.1.module.weight_ih_l0"].shape
    (32, 16)
    """
    _check_choice("model_format", model_format, FORMATS)
    sizes, backbone = _sizes_of(model), model.backbone
    if model_format == "fastai" and backbone.output_dim != backbone.embedding_dim:
        raise InputError(
            "fastai's AWD_LSTM has embedding_dim units in its last LSTM, expected "
            f"{backbone.embedding_dim}. Received a model with {backbone.output_dim}: write it in "
            "the authors' format."
        )
    embedding = _numbers(backbone.embedding.embeddings)
    weights = {ENCODER: embedding, DECODER_BIAS: _numbers(model.decoder.bias)}
    weights[DECODER] = embedding if backbone.tie_weights else _numbers(model.decoder.matrix)
    for layer, lstm in enumerate(backbone.lstm_layers):
        bias = _numbers(lstm.bias)
        kernels = (_numbers(lstm.kernel).T, _numbers(lstm.recurrent_kernel).T)
        for kind, array in zip(LSTM_PARTS, (*kernels, bias, np.zeros_like(bias))):
            weights[kind, layer] = array
    state_dict = {
        name_of(part, model_format): np.ascontiguousarray(weights[part])
        for part in expected_shapes(**sizes)
    }
    if model_format == "fastai":
        state_dict["0.encoder_dp.emb.weight"] = state_dict["0.encoder.weight"]
    return state_dict


def _sizes_of(model):
    if not isinstance(model, AWDLSTMLanguageModel):
        raise ValueError(f"`model` must be an AWDLSTMLanguageModel. Received: model={model!r}")
    backbone = model.backbone
    return {
        "vocabulary_size": backbone.vocabulary_size,
        "embedding_dim": backbone.embedding_dim,
        "hidden_dim": backbone.hidden_dim,
        "num_layers": backbone.num_layers,
        "tie_weights": backbone.tie_weights,
    }


def _numbers(variable):
    return to_array(variable.path, variable.numpy())


def _check_choice(argument, value, choices):
    if value not in choices:
        raise ValueError(
            f"`{argument}` must be one of {', '.join(choices)}. Received: {argument}={value!r}"
        )
    return value
