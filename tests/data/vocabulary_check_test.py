"""Tests of whether a vocabulary is a model's."""

import pytest

from awd_keras.data import Vocabulary
from awd_keras.data.vocabulary_check import check_vocabulary
from awd_keras.errors import InputError


def test_the_vocabulary_of_the_model():
    assert check_vocabulary(Vocabulary(["a", "<eos>"]), 2) is None


def test_lines_have_no_end():
    with pytest.raises(InputError, match="the vocabulary has none. Received: .*2 words"):
        check_vocabulary(Vocabulary(["a", "b"]), 2)


def test_another_size():
    with pytest.raises(InputError, match="predicts 3 words, the vocabulary has 2: .* another"):
        check_vocabulary(Vocabulary(["a", "<eos>"]), 3)
