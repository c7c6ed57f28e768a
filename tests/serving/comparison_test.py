import numpy as np
import pytest

from awd_keras.evaluation import LineScorer
from serving.comparison import BATCH_SIZES, compare
from tests.serving.exported import run


def test_a_form_is_measured_as_it_is_served():
    _, model, vocabulary = run()
    texts = ["w1 w2 w3", "w4", "w2 w2 w1 w9 w5"] * 20
    lines = [vocabulary.encode(text.split()).tolist() for text in texts]
    forms = [("float32", "float32"), ("float32", "int8")]
    exact, small = compare(model, vocabulary, lines, forms)
    scores = list(LineScorer(model, vocabulary).score(texts))
    loss = -sum(s.log_probability for s in scores) / sum(s.num_words for s in scores)
    assert exact.perplexity == pytest.approx(np.exp(loss), rel=1e-5)
    assert small.perplexity != exact.perplexity
    assert small.perplexity == pytest.approx(exact.perplexity, rel=0.05)
    assert [(form.dtype, form.weights) for form in (exact, small)] == forms
    for form in (exact, small):
        assert set(form.step_seconds) == set(BATCH_SIZES)
        assert all(seconds > 0 for seconds in form.step_seconds.values())
        assert form.num_bytes > 100_000
