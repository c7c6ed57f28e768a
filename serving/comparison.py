"""What the smaller forms of an export cost: their size, their time and their perplexity."""

import dataclasses
import statistics
import tempfile
import time

import numpy as np
import tensorflow as tf

from serving.saved_model import export_saved_model

# What can be exported: (dtype, weights).
FORMS = (
    ("float32", "float32"),
    ("float32", "int8"),
    ("bfloat16", "bfloat16"),
    ("bfloat16", "int8"),
)
BATCH_SIZES = (1, 8, 64)
_BATCH = 32
_REPETITIONS = 15


@dataclasses.dataclass(frozen=True)
class Measured:
    """What was measured of a form.

    Args:
        dtype: of its products.
        weights: how its matrices are stored.
        num_bytes: size of the whole folder.
        perplexity: of the lines, each from a zero state.
        step_seconds: median seconds of `step`, by batch size.
    """

    dtype: str
    weights: str
    num_bytes: int
    perplexity: float
    step_seconds: dict


def compare(model, vocabulary, lines, forms=FORMS):
    """Exports a model in several forms and measures each as a server would run it.

    Args:
        model: an `AWDLSTMLanguageModel`.
        vocabulary: its `Vocabulary`.
        lines: lists of token ids without the `<eos>` at their end. No line may be longer than the
            default `Limits` allow.
        forms: `(dtype, weights)` of each.

    Yields:
        a `Measured` for each form.
    """
    rows = [[*line, vocabulary.eos_id] for line in lines]
    # Rows of like length, so that little padding is read.
    rows.sort(key=len)
    for dtype, weights in forms:
        with tempfile.TemporaryDirectory() as folder:
            export = export_saved_model(
                model, vocabulary, folder, "compared", dtype=dtype, weights=weights, warmup=False
            )
            loaded = tf.saved_model.load(str(export.path))
            perplexity = _perplexity(loaded.signatures["score_tokens"], rows)
            seconds = {size: _step_seconds(loaded.signatures["step"], size) for size in BATCH_SIZES}
        yield Measured(dtype, weights, export.num_bytes, perplexity, seconds)


def _perplexity(score_tokens, rows):
    total, count = 0.0, 0
    for start in range(0, len(rows), _BATCH):
        some = rows[start : start + _BATCH]
        lengths = np.array([len(row) for row in some], np.int32)
        token_ids = np.zeros((len(some), lengths.max()), np.int32)
        for index, row in enumerate(some):
            token_ids[index, : len(row)] = row
        found = score_tokens(token_ids=tf.constant(token_ids), lengths=tf.constant(lengths))
        total += float(np.sum(found["log_probabilities"].numpy(), dtype=np.float64))
        count += int(lengths.sum())
    return float(np.exp(-total / count))


def _step_seconds(step, batch_size):
    state_size = step.structured_input_signature[1]["state"].shape[1]
    token_ids = tf.zeros((batch_size,), tf.int32)
    state = tf.zeros((batch_size, state_size))
    seconds = []
    for _ in range(_REPETITIONS):
        start = time.perf_counter()
        outputs = step(token_ids=token_ids, state=state)
        outputs["log_probabilities"].numpy()
        seconds.append(time.perf_counter() - start)
        state = outputs["next_state"]
    # The first calls choose kernels and claim memory.
    return statistics.median(seconds[3:])
