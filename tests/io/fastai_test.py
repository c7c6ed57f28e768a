"""Weights in fastai's own model and in ours. Skipped unless fastai is installed.

`pytorch_test.py` compares with logits of fastai that were recorded.
"""

import numpy as np
import pytest

from awd_keras import io
from awd_keras.models import AWDLSTMLanguageModel
from tests.test_case import assert_close, to_numpy

torch = pytest.importorskip("torch", reason="needs PyTorch")
awdlstm = pytest.importorskip("fastai.text.models.awdlstm", reason="needs fastai")
core = pytest.importorskip("fastai.text.models.core")

SIZES = {"vocabulary_size": 61, "embedding_dim": 12, "hidden_dim": 20, "num_layers": 3}
TOKENS = np.random.default_rng(2).integers(61, size=(3, 9), dtype="int32")


def fastai_model(sizes, **changes):
    config = {**awdlstm.awd_lstm_lm_config, "emb_sz": sizes["embedding_dim"]}
    config.update(n_hid=sizes["hidden_dim"], n_layers=sizes["num_layers"], **changes)
    torch.manual_seed(1)
    model = core.get_language_model(awdlstm.AWD_LSTM, sizes["vocabulary_size"], config)
    torch.nn.init.uniform_(model[1].decoder.bias, -1.0, 1.0)
    return model.eval()


def assert_same_logits(ours, theirs):
    """Compares the logits of three windows, with carried states."""
    theirs.reset()
    states = None
    for start in (0, 3, 6):
        window = TOKENS[:, start : start + 3]
        actual, states = ours(window, states=states)
        with torch.no_grad():
            expected = theirs(torch.tensor(window).long())[0].numpy()
        assert_close(to_numpy(actual), expected, 2e-5)


@pytest.mark.parametrize("tie_weights", [True, False])
def test_import(tmp_path, tie_weights):
    # Without tying, fastai's last LSTM has the size of ours only if both sizes are equal.
    sizes = SIZES if tie_weights else {**SIZES, "hidden_dim": SIZES["embedding_dim"]}
    theirs = fastai_model(sizes, tie_weights=tie_weights)
    path = tmp_path / "weights.pth"
    torch.save(theirs.state_dict(), path)
    state_dict = io.read_state_dict(path)
    inferred = io.infer_sizes(state_dict)
    assert inferred == {**sizes, "tie_weights": tie_weights}
    ours = AWDLSTMLanguageModel(**inferred)
    io.from_pytorch(ours, state_dict)
    assert_same_logits(ours, theirs)


def test_export(tmp_path):
    ours = AWDLSTMLanguageModel(**SIZES, seed=7)
    ours.decoder.bias.assign(np.random.default_rng(3).normal(size=61))
    path = tmp_path / "weights.pth"
    io.write_state_dict(path, io.to_pytorch(ours, "fastai"))
    theirs = fastai_model(SIZES)
    theirs.load_state_dict(torch.load(path, weights_only=True), strict=True)
    assert_same_logits(ours, theirs)
