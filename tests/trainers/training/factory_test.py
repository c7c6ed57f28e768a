"""Tests of the model and the optimizer of a configuration, and of trained runs."""

import io

import keras
import pytest
import tensorflow as tf

from awd_keras.data import Vocabulary
from awd_keras.models import AWDLSTMLanguageModel
from awd_keras.ops.recurrent_matmul import Forms
from tests.test_case import assert_all_equal
from tests.trainers.training.tiny import make_config, make_corpus
from trainers.config import TrainingConfig
from trainers.errors import UserError
from trainers.training import RunFolder, factory
from trainers.training.checkpoint import save_weights


@pytest.fixture
def machine(monkeypatch):
    """Function that pretends that /proc/cpuinfo has some content, or that there is a GPU."""

    def pretend(cpuinfo=None, gpus=()):
        def open_(path, *args, **kwargs):
            assert path == "/proc/cpuinfo"
            if cpuinfo is None:
                raise FileNotFoundError(path)
            return io.StringIO(cpuinfo)

        monkeypatch.setattr(factory, "open", open_, raising=False)
        monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: list(gpus))

    return pretend


class TestResolveDtype:
    @pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
    def test_as_requested(self, dtype):
        other = "float32" if dtype == "bfloat16" else "bfloat16"
        assert factory.resolve_dtype(dtype, other) == (dtype, "as requested")

    @pytest.mark.parametrize("recorded", ["float32", "bfloat16"])
    def test_auto_keeps_that_of_an_existing_run(self, machine, recorded):
        machine("flags : fpu\n")
        assert factory.resolve_dtype("auto", recorded) == (recorded, "as in the existing run")

    @pytest.mark.parametrize(
        ("flags", "expected"),
        [
            ("fpu avx512_bf16 sse", "bfloat16"),
            ("amx_tile amx_bf16", "bfloat16"),
            ("fpu avx2 avx512f", "float32"),
            ("avx512_bf16x", "float32"),
        ],
    )
    def test_by_the_cpu(self, machine, flags, expected):
        machine(f"model name\t: avx512_bf16\nflags\t\t: {flags}\n")
        assert factory.resolve_dtype("auto")[0] == expected

    def test_without_cpuinfo(self, machine):
        machine(None)
        assert factory.resolve_dtype("auto")[0] == "float32"

    def test_float32_on_a_gpu(self, machine):
        machine("flags : avx512_bf16\n", gpus=["gpu"])
        assert factory.resolve_dtype("auto") == ("float32", "bfloat16 is no faster on GPUs")


class TestBuildModel:
    def test_sizes_and_rates(self):
        config = make_config(
            embedding_dim=4,
            hidden_dim=6,
            num_layers=3,
            tie_weights=False,
            input_dropout=0.5,
            hidden_dropout=0.4,
            output_dropout=0.3,
            embedding_dropout=0.2,
            weight_dropout=0.1,
            dropout_multiplier=0.5,
            seed=11,
        )
        model = factory.build_model(config, 17)
        assert isinstance(model, AWDLSTMLanguageModel)
        names = ("embedding_dim", "hidden_dim", "num_layers", "tie_weights", "seed")
        expected = {name: getattr(config, name) for name in names} | config.dropout_rates()
        expected["vocabulary_size"] = 17
        actual = model.get_config()
        assert {name: actual[name] for name in expected} == expected
        assert model.dtype_policy.name == "float32"

    def test_bfloat16_products_of_float32_weights(self, machine):
        machine("flags : amx_bf16\n")
        for dtype in ("bfloat16", "auto"):
            model = factory.build_model(make_config(dtype=dtype), 9)
            assert model.dtype_policy.name == "mixed_bfloat16"
            assert {weight.dtype for weight in model.weights} == {"float32"}


class TestBuildOptimizer:
    def test_the_papers(self):
        config = make_config(learning_rate=30.0, weight_decay=1.2e-6)
        model = factory.build_model(config, 9)
        optimizer = factory.build_optimizer(config, model)
        assert type(optimizer.optimizer) is keras.optimizers.SGD
        assert float(optimizer.learning_rate) == 30.0
        assert optimizer.optimizer.weight_decay == 1.2e-6
        assert optimizer.optimizer.momentum == 0.0
        # The training step clips, once.
        assert optimizer.optimizer.global_clipnorm is None
        assert optimizer.built and not optimizer.triggered
        assert len(optimizer._averages) == len(model.trainable_variables)

    def test_momentum(self):
        config = make_config(momentum=0.5)
        optimizer = factory.build_optimizer(config, factory.build_model(config, 9))
        assert type(optimizer.optimizer) is keras.optimizers.SGD
        assert optimizer.optimizer.momentum == 0.5

    def test_another(self):
        config = make_config(optimizer="adam", learning_rate=0.001, weight_decay=0.0)
        optimizer = factory.build_optimizer(config, factory.build_model(config, 9))
        assert type(optimizer.optimizer) is keras.optimizers.Adam
        assert optimizer.optimizer.weight_decay is None


class TestLoadRun:
    def test_the_best_weights_come_back(self, tmp_path):
        config, corpus = make_config(), make_corpus()
        folder = RunFolder(tmp_path)
        folder.begin(config, corpus)
        trained = factory.build_model(config.replace(seed=99), len(corpus.vocabulary))
        save_weights(folder.best_checkpoint, trained, {"step": 1})
        model, vocabulary, read = factory.load_run(tmp_path)
        assert read == config and isinstance(vocabulary, Vocabulary)
        assert vocabulary.words == corpus.vocabulary.words
        assert_all_equal(model.weights, trained.weights)
        assert factory.load_run(tmp_path, "bfloat16")[0].dtype_policy.name == "mixed_bfloat16"


def write_texts(folder, text):
    for split in ("train", "valid", "test"):
        (folder / f"{split}.txt").write_text(text)


def test_settings_of_the_text(tmp_path):
    write_texts(tmp_path, "No, no! yes yes yes")
    config = make_config(
        corpus="text",
        data_dir=str(tmp_path),
        tokenizer="basic",
        lowercase=True,
        max_vocabulary_size=4,
        max_train_tokens=6,
    )
    corpus = factory.build_corpus(config)
    # The tokens are "no , no ! yes yes yes <eos>".
    assert corpus.vocabulary.words == ("<unk>", "<eos>", "yes", "no")
    assert len(corpus.train) == 6 and len(corpus.test) == 8


def test_adaptive_softmax(tmp_path):
    write_texts(tmp_path, "a b c c b c c")
    config = make_config(corpus="text", data_dir=str(tmp_path), adaptive_softmax_cutoffs=(1, 3))
    assert factory.build_corpus(config).vocabulary.words == ("c", "b", "a", "<eos>")
    model = factory.build_model(config, 4)
    assert model.adaptive_softmax_cutoffs == (1, 3)
    with pytest.raises(UserError, match=r"number of words, 3\. Received: .*cutoffs=\(1, 3\)"):
        factory.build_model(config, 3)


def test_resolve_kernel(monkeypatch):
    monkeypatch.setattr(factory, "fastest_forms", lambda *_: Forms("direct", "swapped"))
    small, large = TrainingConfig(hidden_dim=8), TrainingConfig(hidden_dim=1150, dtype="float32")
    assert factory.resolve_kernel(small) == "portable"
    assert factory.resolve_kernel(large) == "portable/direct/swapped"
    assert factory.resolve_kernel(large.replace(num_layers=1)) == "portable"  # 400 units
    assert factory.resolve_kernel(large, recorded="portable") == "portable"
    assert factory.resolve_kernel(large.replace(kernel="xla"), recorded="portable") == "xla"
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda _: ["a GPU"])
    assert factory.resolve_kernel(large, recorded="portable") == "auto"
