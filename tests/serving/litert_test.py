"""LiteRT models, compared with the model in memory."""

import numpy as np
import pytest
import tensorflow as tf

from awd_keras.data import Vocabulary
from awd_keras.models import AWDLSTMLanguageModel
from serving.litert import export_litert
from tests.serving.exported import Exported, make_model
from tests.test_case import assert_close

pytestmark = pytest.mark.filterwarnings("ignore:.*tf.lite.Interpreter is deprecated")
IDS = [3, 1, 4, 1, 5]


def signatures(path):
    """Returns the functions `step` and `score` of a file."""
    interpreter = tf.lite.Interpreter(str(path))
    return interpreter.get_signature_runner("step"), interpreter.get_signature_runner("score")


def read(step, token_ids, state_size):
    """Returns the log-probabilities after each word, and the last state."""
    state, rows = np.zeros((1, state_size), np.float32), []
    for token_id in token_ids:
        outputs = step(token_ids=np.int32([token_id]), state=state)
        state = outputs["next_state"]
        rows.append(outputs["log_probabilities"][0])
    return np.array(rows), state


@pytest.mark.parametrize(
    "options", [{}, {"tie_weights": False}, {"adaptive_softmax_cutoffs": (4, 9)}], ids=str
)
def test_equals_the_model(tmp_path, options):
    model, vocabulary = make_model(**options)
    path = export_litert(model, vocabulary, tmp_path, "tiny")
    assert path == tmp_path / "tiny.tflite" and b"Flex" not in path.read_bytes()
    assert Vocabulary.load(tmp_path / "tiny.vocabulary.txt") == vocabulary

    step, score = signatures(path)
    _, states = model(np.array([IDS]))
    states = np.concatenate(tf.nest.flatten(states), axis=1)
    by_step, state = read(step, IDS, states.shape[1])
    assert_close(by_step, Exported(model, vocabulary, None).log_probabilities(IDS), 1e-5)
    assert_close(state, states, 1e-5)
    for num_tokens in (5, 1):
        ids = IDS[:num_tokens]
        expected = Exported(model, vocabulary, None).log_probabilities([vocabulary.eos_id, *ids])
        values = score(token_ids=np.int32([ids]))["log_probabilities"]
        assert_close(values[0], expected[np.arange(num_tokens), ids], 1e-5)


def test_quantized(tmp_path):
    vocabulary = Vocabulary(["<eos>", "<unk>", *(f"w{index}" for index in range(98))])
    model = AWDLSTMLanguageModel(100, embedding_dim=32, hidden_dim=64, num_layers=2, seed=0)
    plain = export_litert(model, vocabulary, tmp_path, "plain")
    quantized = export_litert(model, vocabulary, tmp_path, "quantized", quantize=True)
    assert quantized.stat().st_size < 0.6 * plain.stat().st_size
    expected, _ = read(signatures(plain)[0], [vocabulary.eos_id, *IDS], 192)
    step, score = signatures(quantized)
    assert_close(read(step, [vocabulary.eos_id, *IDS], 192)[0], expected, 0.05)
    values = score(token_ids=np.int32([IDS]))["log_probabilities"]
    assert_close(values[0], expected[np.arange(5), IDS], 0.05)
