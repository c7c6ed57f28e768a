"""Tests of what layers do with an embedding that belongs to several of them."""

import keras
import pytest

from awd_keras import layers
from awd_keras.layers.shared_embedding import validated_embedding
from tests.test_case import save_and_load


def test_an_embedding_is_taken_as_it_is():
    embedding = keras.layers.Embedding(5, 3)
    assert validated_embedding(embedding) is embedding


@pytest.mark.parametrize("wrong", [None, keras.layers.Embedding, keras.layers.Dense(3), "table"])
def test_refuses_what_is_no_embedding(wrong):
    with pytest.raises(ValueError, match="`embedding` must be a keras.layers.Embedding"):
        validated_embedding(wrong)


def test_all_who_shared_it_share_it_after_loading():
    # Three owners: the mark of the first to be serialized is the one that could be lost.
    ids = keras.Input((None,), dtype="int32")
    embedding = keras.layers.Embedding(5, 3)
    first, second = (layers.EmbeddingDropout(embedding, 0.1, name=name) for name in ("a", "b"))
    decoder = layers.TiedDecoder(embedding, use_bias=False, name="c")
    model = keras.Model(ids, decoder(keras.layers.add([first(ids), second(ids)])))
    revived = save_and_load(model)
    owned = [revived.get_layer(name).embedding for name in ("a", "b", "c")]
    assert owned[0] is owned[1] is owned[2]
    assert revived.count_params() == model.count_params() == 5 * 3
