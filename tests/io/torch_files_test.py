"""Files that PyTorch itself reads and writes; skipped where it is missing."""

import numpy as np
import pytest

from awd_keras import io

torch = pytest.importorskip("torch", reason="needs PyTorch: pip install '.[torch]'")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "weights.pt"


class RunsCode:
    """Creates a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def linear():
    return torch.nn.Sequential(torch.nn.Linear(3, 2))


@pytest.mark.parametrize("ending", [".pt", ".pth"])
def test_round_trip(tmp_path, ending):
    path = tmp_path / f"weights{ending}"
    matrix = np.arange(6, dtype="float32").reshape(2, 3)
    arrays = {"encoder.weight": matrix, "decoder.weight": matrix, "decoder.bias": np.zeros(2)}
    io.write_state_dict(path, arrays)
    read = io.read_state_dict(path)
    assert set(read) == set(arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(read[name], array)
        assert read[name].dtype == array.dtype
    loaded = torch.load(path, weights_only=True)
    assert loaded["encoder.weight"].data_ptr() == loaded["decoder.weight"].data_ptr()
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_a_state_dict_as_pytorch_writes_it(path):
    model = linear()
    for saved in (
        model.state_dict(),
        {"model": model.state_dict(), "opt": {"state": [], "hypers": [{"lr": 0.1}]}},
        {"state_dict": model.state_dict(), "epoch": 3},
    ):
        torch.save(saved, path)
        read = io.read_state_dict(path)
        assert set(read) == {"0.weight", "0.bias"}
        np.testing.assert_array_equal(read["0.weight"], model[0].weight.detach().numpy())


def test_types_and_strides(path):
    matrix = torch.arange(6.0).reshape(2, 3)
    torch.save({"half": matrix.bfloat16(), "double": matrix.double(), "turned": matrix.T}, path)
    read = io.read_state_dict(path)
    assert [read[name].dtype.name for name in ("half", "double")] == ["float32", "float64"]
    for name in ("half", "double"):
        np.testing.assert_array_equal(read[name], matrix.numpy())
    np.testing.assert_array_equal(read["turned"], matrix.numpy().T)


def test_tensors_of_a_model_need_no_file():
    model = linear()
    with pytest.raises(io.InputError, match="encoder.weight is missing"):
        io.infer_sizes(model.state_dict())


@pytest.mark.parametrize("as_list", [True, False])
def test_a_pickled_model_is_refused_and_the_two_lines_convert_it(path, as_list):
    model = linear()
    torch.save([model, None, None] if as_list else model, path)
    with pytest.raises(io.InputError, match="holds more than tensors") as error:
        io.read_state_dict(path)
    lines = str(error.value).splitlines()[1:]
    assert len(lines) == 2
    exec("\n".join(line.strip() for line in lines), {})
    read = io.read_state_dict(path.with_name("weights_state_dict.pt"))
    np.testing.assert_array_equal(read["0.weight"], model[0].weight.detach().numpy())


@pytest.mark.parametrize("old_format", [True, False])
def test_no_code_of_a_file_is_run(path, tmp_path, old_format):
    trace = tmp_path / "trace"
    saved = {"a": torch.zeros(1), "b": RunsCode(trace)}
    torch.save(saved, path, _use_new_zipfile_serialization=not old_format)
    with pytest.raises(io.InputError, match="holds more than tensors"):
        io.read_state_dict(path)
    assert not trace.exists()
    # It would have run.
    torch.load(path, weights_only=False)
    assert trace.exists()


@pytest.mark.parametrize(
    "tensor",
    [
        torch.zeros(1).expand(2**40),
        torch.zeros(1).expand(2**20, 2**20),
        torch.eye(3).to_sparse(),
        torch.zeros(2, 2, device="meta"),
        "text",
        3,
    ],
)
def test_what_is_no_dense_tensor(path, tensor):
    torch.save({"encoder.weight": tensor}, path)
    expected = "encoder.weight must be a dense tensor that fills memory. Received: "
    with pytest.raises(io.InputError, match=expected):
        io.read_state_dict(path)


@pytest.mark.parametrize("saved", [[torch.zeros(2)], torch.zeros(2), 3])
def test_what_is_no_state_dict(path, saved):
    torch.save(saved, path)
    with pytest.raises(io.InputError, match="must hold a state dict"):
        io.read_state_dict(path)


@pytest.mark.parametrize("part", [0.0, 0.1, 0.5, 0.9])
def test_a_damaged_file_is_named(path, part):
    torch.save(linear().state_dict(), path)
    content = path.read_bytes()
    path.write_bytes(content[: int(part * len(content))])
    with pytest.raises(io.InputError, match=r"weights\.pt (cannot be read|holds more)"):
        io.read_state_dict(path)
