"""The same weights in fastai's own model and in ours; skipped where fastai is missing.

`pytorch_test.py` holds ours to logits that fastai gave when they were recorded.
"""

import numpy as np
import pytest

from awd_keras import io
from awd_keras.models import AWDLSTMLanguageModel
from tests.test_case import assert_close, assert_equal, to_numpy

torch = pytest.importorskip("torch", reason="needs PyTorch: pip install '.[torch]'")
pytest.importorskip("fastai", reason="needs fastai: pip install fastai")
awdlstm = pytest.importorskip("fastai.text.models.awdlstm")
core = pytest.importorskip("fastai.text.models.core")

SMALL = {"vocabulary_size": 61, "embedding_dim": 12, "hidden_dim": 20, "num_layers": 3}
PAPER = {"vocabulary_size": 10_000, "embedding_dim": 400, "hidden_dim": 1150, "num_layers": 3}
SIZES = [
    pytest.param(SMALL, id="small"),
    pytest.param(PAPER, id="paper", marks=pytest.mark.slow),
]


def fastai_model(sizes, **changes):
    config = {**awdlstm.awd_lstm_lm_config, "emb_sz": sizes["embedding_dim"]}
    config.update(n_hid=sizes["hidden_dim"], n_layers=sizes["num_layers"], **changes)
    model = core.get_language_model(awdlstm.AWD_LSTM, sizes["vocabulary_size"], config)
    torch.nn.init.uniform_(model[1].decoder.bias, -1.0, 1.0)
    return model.eval()


def tokens_of(sizes):
    return np.random.default_rng(2).integers(sizes["vocabulary_size"], size=(3, 9), dtype="int32")


def fastai_logits(model, tokens):
    model.reset()
    with torch.no_grad():
        windows = [torch.tensor(tokens[:, start : start + 3]).long() for start in (0, 3, 6)]
        return torch.cat([model(window)[0] for window in windows], dim=1).numpy()


def our_logits(model, tokens):
    logits, states = [], None
    for start in (0, 3, 6):
        window, states = model(tokens[:, start : start + 3], states=states)
        logits.append(to_numpy(window))
    return np.concatenate(logits, axis=1)


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("ending", [".pth", ".safetensors"])
def test_from_fastai(tmp_path, sizes, ending):
    torch.manual_seed(1)
    theirs, tokens = fastai_model(sizes), tokens_of(sizes)
    expected = fastai_logits(theirs, tokens)
    path = tmp_path / f"weights{ending}"
    if ending == ".pth":
        torch.save(theirs.state_dict(), path)
    else:
        from safetensors.torch import save_model

        save_model(theirs, path)  # leaves out the names of matrices that are there already
    state_dict = io.read_state_dict(path)
    assert io.infer_sizes(state_dict) == {**sizes, "tie_weights": True}
    ours = AWDLSTMLanguageModel(**sizes)
    io.from_pytorch(ours, state_dict)
    actual = our_logits(ours, tokens)
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-4)
    assert_close(actual, expected, 2e-5)


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("ending", [".pth", ".safetensors"])
def test_to_fastai(tmp_path, sizes, ending):
    torch.manual_seed(1)
    ours, tokens = AWDLSTMLanguageModel(**sizes, seed=7), tokens_of(sizes)
    ours.decoder.bias.assign(np.random.default_rng(3).normal(size=(sizes["vocabulary_size"],)))
    path = tmp_path / f"weights{ending}"
    io.write_state_dict(path, io.to_pytorch(ours, "fastai"))
    theirs = fastai_model(sizes)
    before = fastai_logits(theirs, tokens)
    if ending == ".pth":
        theirs.load_state_dict(torch.load(path, weights_only=True), strict=True)
    else:
        from safetensors.torch import load_file

        theirs.load_state_dict(load_file(path), strict=True)
    actual, expected = fastai_logits(theirs, tokens), our_logits(ours, tokens)
    assert np.max(np.abs(actual - before)) > 0.1
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-4)
    assert_close(actual, expected, 2e-5)


def test_there_and_back(tmp_path):
    ours, other = AWDLSTMLanguageModel(**SMALL, seed=7), AWDLSTMLanguageModel(**SMALL, seed=8)
    theirs = fastai_model(SMALL)
    arrays = io.to_pytorch(ours, "fastai")
    theirs.load_state_dict({name: torch.tensor(array) for name, array in arrays.items()})
    io.from_pytorch(other, theirs.state_dict())
    for one, two in zip(ours.weights, other.weights):
        assert_equal(two, one)


def test_untied_of_one_size():
    sizes = {**SMALL, "hidden_dim": SMALL["embedding_dim"]}
    theirs, tokens = fastai_model(sizes, tie_weights=False), tokens_of(sizes)
    ours = AWDLSTMLanguageModel(**sizes, tie_weights=False)
    assert io.infer_sizes(theirs.state_dict()) == {**sizes, "tie_weights": False}
    io.from_pytorch(ours, theirs.state_dict())
    assert_close(our_logits(ours, tokens), fastai_logits(theirs, tokens), 2e-5)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"tie_weights": False}, "the softmax is untied"),
        ({"bidir": True}, "_reverse"),
    ],
)
def test_models_that_are_none_of_ours(changes, expected):
    with pytest.raises(io.InputError, match=expected):
        io.infer_sizes(fastai_model(SMALL, **changes).state_dict())


def test_what_learner_save_writes(tmp_path):
    from fastcore.foundation import L

    theirs = fastai_model(SMALL)
    path = tmp_path / "learner.pth"
    torch.save({"model": theirs.state_dict(), "opt": {"state": [], "hypers": L({"lr": 0.1})}}, path)
    with pytest.raises(io.InputError, match="holds more than tensors") as error:
        io.read_state_dict(path)
    exec("\n".join(line.strip() for line in str(error.value).splitlines()[1:]), {})
    state_dict = io.read_state_dict(tmp_path / "learner_state_dict.pt")
    assert io.infer_sizes(state_dict) == {**SMALL, "tie_weights": True}
