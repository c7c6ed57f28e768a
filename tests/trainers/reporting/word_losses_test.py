"""Tests of the sums over words."""

import collections

import numpy as np
import pytest

from awd_keras.data import Vocabulary
from trainers.reporting import WordLosses

WORDS = tuple(f"w{index}" for index in range(12))


@pytest.fixture
def losses():
    """Sums of three windows, and what came in, word by word."""
    generator = np.random.default_rng(3)
    found = WordLosses(Vocabulary(WORDS))
    tokens = []
    for timesteps in (7, 30, 1):
        targets = generator.integers(len(WORDS) - 1, size=(2, timesteps)).astype(np.int32)
        alone, mixed = -generator.gamma(2.0, size=(2, *targets.shape)).astype(np.float32)
        found.add(targets, alone, mixed)
        tokens += zip(targets.ravel().tolist(), alone.ravel(), mixed.ravel())
    return found, tokens


def by_word(tokens):
    counts, totals, gains = collections.Counter(), collections.Counter(), collections.Counter()
    for target, alone, mixed in tokens:
        word = WORDS[target]
        counts[word] += 1
        totals[word] -= float(alone)
        gains[word] += float(mixed) - float(alone)
    return counts, totals, gains


def test_sums_over_all_words(losses):
    found, tokens = losses
    assert found.num_tokens == len(tokens) == 76
    np.testing.assert_allclose(found.loss, -np.mean([t[1] for t in tokens]), rtol=1e-6)
    np.testing.assert_allclose(found.loss_with_cache, -np.mean([t[2] for t in tokens]), rtol=1e-6)


@pytest.mark.parametrize("by", ["total", "mean"])
def test_hardest_words(losses, by):
    found, tokens = losses
    counts, totals, gains = by_word(tokens)
    value = {w: totals[w] / counts[w] if by == "mean" else totals[w] for w in counts}
    expected = sorted(counts, key=lambda word: -value[word])
    rows = found.hardest(by, limit=100)
    assert [row.word for row in rows] == expected  # w11, which never came, is not there
    assert [row.count for row in rows] == [counts[word] for word in expected]
    for row in rows:
        np.testing.assert_allclose(
            [row.total, row.mean, row.gain],
            [totals[row.word], totals[row.word] / row.count, gains[row.word]],
            rtol=1e-6,
        )
    assert found.hardest(by, limit=3) == rows[:3]


def test_rare_words_are_left_out(losses):
    found, tokens = losses
    counts = by_word(tokens)[0]
    least = sorted(counts.values())[len(counts) // 2]
    rows = found.hardest("mean", 100, least)
    assert {row.word for row in rows} == {word for word in counts if counts[word] >= least}
    assert 0 < len(rows) < len(counts)


def test_words_that_gain_and_lose(losses):
    found, tokens = losses
    gains = by_word(tokens)[2]
    gained, lost = found.most_gained(100), found.most_lost(100)
    assert [row.word for row in gained] == [w for w, gain in gains.most_common() if gain > 0]
    assert [row.word for row in lost] == [w for w, gain in gains.most_common()[::-1] if gain < 0]
    assert gained and lost
    assert found.most_gained(1) == gained[:1] and found.most_lost(2) == lost[:2]


def test_equals_stand_in_the_order_of_their_ids():
    found = WordLosses(Vocabulary(WORDS))
    found.add([[5, 2, 9]], [[-1.0, -1.0, -2.0]], [[-1.0, -1.0, -2.0]])
    assert [row.word for row in found.hardest("total", 3)] == ["w9", "w2", "w5"]
    assert found.most_gained(3) == found.most_lost(3) == []


def test_an_unknown_order_is_refused():
    with pytest.raises(ValueError, match="'total' or 'mean'. Received: by='count'"):
        WordLosses(Vocabulary(WORDS)).hardest("count", 3)
