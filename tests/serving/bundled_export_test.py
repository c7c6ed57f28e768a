"""The signatures with real weights: those of the model that comes with the package."""

import os

import numpy as np
import pytest

from awd_keras.evaluation import LineScorer
from awd_keras.generation import GenerationConfig, TextGenerator
from serving.bundled_export import export_bundled_model
from tests.serving.exported import Exported
from tests.test_case import assert_close
from trainers.training import bundled


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    output = tmp_path_factory.mktemp("exported")
    export = export_bundled_model(output)
    assert export.path == output / "bundled" / "1" and os.listdir(output) == ["bundled"]
    assert export.num_bytes < 5e6
    model, vocabulary, _ = bundled.load_model(dtype="float32")
    return Exported(model, vocabulary, export)


def test_scores_are_those_of_trainers_score(served):
    """Its weights are 8 bits already: rounding them again changes nothing."""
    texts = ["we must act now", "the congress of the united states", "", "a zyzzyva my fellow"]
    found = served.call("score", text=texts)
    scores = list(LineScorer(served.model, served.vocabulary).score(texts))
    assert_close(found["log_probability"], [s.log_probability for s in scores], 1e-5)
    assert found["num_unknown"].tolist() == [0, 0, 0, 1]
    assert found["perplexity"][1] < 30


def test_it_suggests_what_a_president_says(served):
    found = served.call("next_word", text=["the united", "my fellow", "health"], k=[1, 1, 3])
    assert found["words"][:2, 0].tolist() == [b"states", b"americans"]
    assert b"care" in found["words"][2]


def test_it_writes_what_trainers_generate_writes(served):
    config = GenerationConfig(max_words=12, temperature=0.7, top_p=0.9, seed=3)
    [text] = TextGenerator(served.model, served.vocabulary).generate("the congress", config)
    found = served.call(
        "generate",
        prompt=["the congress"],
        max_words=[12],
        temperature=[0.7],
        top_k=[0],
        top_p=[0.9],
        seed=[3],
    )
    assert found["text"][0].decode() == " ".join(["the congress", *text.words])


def test_a_state_is_carried(served):
    state = served.zero_state(1)
    for token_id in served.vocabulary.encode("<eos> the united".split()):
        found = served.call("step", token_ids=[token_id], state=state)
        state = found["next_state"]
    best = int(np.argmax(found["log_probabilities"][0]))
    assert served.vocabulary.decode([best]) == ["states"]
