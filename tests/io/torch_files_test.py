"""State dicts in files of PyTorch, which must be installed."""

import numpy as np
import pytest

from awd_keras import io
from awd_keras.errors import InputError
from awd_keras.models import AWDLSTMLanguageModel
from tests.test_case import assert_close

torch = pytest.importorskip("torch", reason="needs PyTorch")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "weights.pt"


class RunsCode:
    """Creates a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_round_trip(path):
    matrix = np.arange(6, dtype="float32").reshape(2, 3).T
    arrays = {"encoder.weight": matrix, "decoder.weight": matrix, "decoder.bias": np.zeros(2)}
    io.write_state_dict(path, arrays)
    read = io.read_state_dict(path)
    assert set(read) == set(arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(read[name], array)
        assert read[name].dtype == array.dtype
    loaded = torch.load(path, weights_only=True)
    assert loaded["encoder.weight"].data_ptr() == loaded["decoder.weight"].data_ptr()


def test_checkpoints_that_contain_a_state_dict(path):
    weights = {"half": torch.ones(2).bfloat16(), "transposed": torch.arange(6.0).reshape(2, 3).T}
    for saved in (
        weights,
        {"model": weights, "opt": {"state": [], "hypers": [{"lr": 0.1}]}},
        {"state_dict": weights, "epoch": 3},
    ):
        torch.save(saved, path)
        read = io.read_state_dict(path)
        assert set(read) == set(weights)
        np.testing.assert_array_equal(read["half"], np.ones(2, "float32"))
        np.testing.assert_array_equal(read["transposed"], weights["transposed"].numpy())


@pytest.mark.parametrize(("emsize", "tied"), [(6, False), (8, False), (8, True)])
def test_the_word_language_model(tmp_path, emsize, tied):
    torch.manual_seed(4)
    module = torch.nn.ModuleDict(
        {
            "encoder": torch.nn.Embedding(19, emsize),
            "rnn": torch.nn.LSTM(emsize, 8, 3, dropout=0.2),
            "decoder": torch.nn.Linear(8, 19),
        }
    )
    if tied:
        module["decoder"].weight = module["encoder"].weight
    path = tmp_path / "model.h5"  # the suffix that fastai 0.7 used
    torch.save(module.eval().state_dict(), path)
    state_dict = io.read_state_dict(path)
    sizes = io.infer_sizes(state_dict)
    assert sizes["tie_weights"] is tied
    model = AWDLSTMLanguageModel(**sizes)
    io.from_pytorch(model, state_dict)
    tokens = np.random.default_rng(0).integers(19, size=(12, 2))
    with torch.no_grad():
        expected = module["decoder"](module["rnn"](module["encoder"](torch.tensor(tokens)))[0])
    assert_close(model(tokens.T)[0], expected.transpose(0, 1), 1e-5)


def test_pickles_are_not_loaded(path, tmp_path):
    trace = tmp_path / "trace"
    torch.save({"a": torch.zeros(1), "b": RunsCode(trace)}, path)
    with pytest.raises(InputError, match="contains more than tensors"):
        io.read_state_dict(path)
    assert not trace.exists()


@pytest.mark.parametrize("saved", [[torch.zeros(2)], torch.zeros(2), 3, {3: torch.zeros(2)}])
def test_files_without_a_state_dict(path, saved):
    torch.save(saved, path)
    with pytest.raises(InputError, match="must contain a state dict"):
        io.read_state_dict(path)


@pytest.mark.parametrize("fraction", [0.0, 0.5, 0.9])
def test_a_damaged_file(path, fraction):
    torch.save({"a": torch.zeros(100)}, path)
    content = path.read_bytes()
    path.write_bytes(content[: int(fraction * len(content))])
    with pytest.raises(InputError, match=r"weights\.pt is damaged"):
        io.read_state_dict(path)


def test_bytes_that_are_no_pickle(path):
    path.write_bytes(b".")
    with pytest.raises(InputError, match=r"weights\.pt is damaged"):
        io.read_state_dict(path)
