"""Tests of what a folder of many runs has on record of their text."""

import pytest

from tests.trainers.training.tiny import make_corpus, make_texts
from trainers.errors import UserError
from trainers.recorded_text import NAMES, check_same_text, text_facts


def changed(split):
    """A corpus that differs in one line of one text, by words that it has."""
    texts = make_texts()
    texts[split] = [*texts[split], "w1 w1"]
    return make_corpus(texts)


def test_the_same_text_is_taken():
    facts = text_facts(make_corpus())
    assert tuple(facts) == NAMES
    check_same_text("folder", text_facts(make_corpus()), facts, "here")


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_another_text_is_refused(split):
    recorded, facts = text_facts(make_corpus()), text_facts(changed(split))
    assert recorded["text_digest"] != facts["text_digest"]
    with pytest.raises(UserError, match="folder was begun with another text .* of here"):
        check_same_text("folder", recorded, facts, "here")


def test_other_words_are_refused():
    texts = make_texts()
    texts["train"] = [line.replace("w1 ", "v1 ") for line in texts["train"]]
    recorded, facts = text_facts(make_corpus()), text_facts(make_corpus(texts))
    assert recorded["vocabulary_digest"] != facts["vocabulary_digest"]
    with pytest.raises(UserError, match="another text"):
        check_same_text("folder", recorded, facts, "here")


def test_an_older_record_says_nothing_of_its_text():
    check_same_text("folder", {"bptt": 70}, text_facts(make_corpus()), "here")
