"""Tests of what is made from the settings."""

import builtins
import io

import keras
import numpy as np
import pytest
import tensorflow as tf

from awd_keras.data import Vocabulary
from awd_keras.models import AWDLSTMLanguageModel
from awd_keras.optimizers import InPlaceSGD
from tests.trainers.training.tiny import make_config, make_corpus
from trainers.errors import UserError
from trainers.training import RunFolder, factory
from trainers.training.training_state import save_weights


@pytest.fixture
def machine(monkeypatch):
    """`machine(cpuinfo, capability)`: the hardware that TensorFlow and /proc claim to see."""

    def pretend(cpuinfo=None, capability=None):
        def open_(path, *args, **kwargs):
            if path != "/proc/cpuinfo":
                return original(path, *args, **kwargs)
            if cpuinfo is None:
                raise FileNotFoundError(path)
            return io.StringIO(cpuinfo)

        original = builtins.open
        gpus = [] if capability is None else ["gpu"]
        details = {} if capability == "unknown" else {"compute_capability": capability}
        monkeypatch.setattr(factory, "open", open_, raising=False)
        monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: gpus)
        monkeypatch.setattr(tf.config.experimental, "get_device_details", lambda gpu: details)

    return pretend


class TestResolveDtype:
    @pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
    def test_as_asked(self, machine, dtype):
        machine("flags : fpu\n")
        assert factory.resolve_dtype(dtype) == (dtype, "as asked")

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
        dtype, why = factory.resolve_dtype("auto")
        assert dtype == expected
        assert "CPU" in why and ("longer" in why) == (expected == "float32")

    def test_without_cpuinfo(self, machine):
        machine(None)
        assert factory.resolve_dtype("auto")[0] == "float32"

    @pytest.mark.parametrize(
        ("capability", "expected"),
        [((9, 0), "bfloat16"), ((8, 0), "bfloat16"), ((7, 5), "float32"), ("unknown", "float32")],
    )
    def test_by_the_gpu(self, machine, capability, expected):
        machine("flags : avx512_bf16\n", capability)
        dtype, why = factory.resolve_dtype("auto")
        assert dtype == expected and "GPU" in why


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
        expected = {
            "vocabulary_size": 17,
            "embedding_dim": 4,
            "hidden_dim": 6,
            "num_layers": 3,
            "tie_weights": False,
            "input_dropout": 0.25,
            "hidden_dropout": 0.2,
            "output_dropout": 0.15,
            "embedding_dropout": 0.1,
            "weight_dropout": 0.05,
            "seed": 11,
        }
        actual = model.get_config()
        assert {name: actual[name] for name in expected} == expected
        assert model.dtype_policy.name == "float32"

    def test_the_seed_makes_the_weights(self):
        weights = [
            [w.numpy() for w in factory.build_model(make_config(seed=seed), 9).weights]
            for seed in (1, 1, 2, 2**32 - 1)
        ]
        for first, same, *_ in zip(*weights):
            np.testing.assert_array_equal(first, same)
        for other in weights[2:]:
            assert not np.array_equal(weights[0][0], other[0])

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
        assert type(optimizer.optimizer) is InPlaceSGD
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
        for weight, expected in zip(model.weights, trained.weights):
            np.testing.assert_array_equal(weight.numpy(), expected.numpy())
        assert factory.load_run(tmp_path, "bfloat16")[0].dtype_policy.name == "mixed_bfloat16"

    def test_the_words_of_another_run_are_refused(self, tmp_path):
        config, corpus = make_config(), make_corpus()
        folder = RunFolder(tmp_path)
        folder.begin(config, corpus)
        model = factory.build_model(config, len(corpus.vocabulary))
        save_weights(folder.best_checkpoint, model, {"step": 1})
        Vocabulary(corpus.vocabulary.words[::-1]).save(folder.vocabulary_file)
        with pytest.raises(UserError, match="vocabulary.txt does not hold the words of"):
            factory.load_run(tmp_path)

    def test_no_run(self, tmp_path):
        with pytest.raises(UserError, match="no run"):
            factory.load_run(tmp_path)

    def test_no_weights_yet(self, tmp_path):
        RunFolder(tmp_path).begin(make_config(), make_corpus())
        with pytest.raises(UserError, match="no checkpoint"):
            factory.load_run(tmp_path)
