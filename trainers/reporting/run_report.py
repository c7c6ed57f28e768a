"""What a page tells of a run."""

import dataclasses

from trainers.config import TrainingConfig


@dataclasses.dataclass(frozen=True)
class WordTables:
    """Which words cost most, and which gain and lose by the cache: lists of `WordRow`.

    Args:
        text: which text was read, in words.
        cache: the settings of the cache, in words.
        min_count: how often a word of `by_mean` was predicted at least.
        num_tokens: how many words were predicted.
        perplexity, perplexity_with_cache: over all of them.
        by_total, by_mean: the hardest words.
        gained, lost: by the cache.
    """

    text: str
    cache: str
    min_count: int
    num_tokens: int
    perplexity: float
    perplexity_with_cache: float
    by_total: list
    by_mean: list
    gained: list
    lost: list


@dataclasses.dataclass(frozen=True)
class RunReport:
    """What a page tells of a run.

    Args:
        name: what to call it; no two runs of a page have the same.
        config: its `TrainingConfig`.
        corpus: the name of its corpus.
        vocabulary_size: number of words.
        num_parameters: of its model.
        metrics: rows of metrics.csv.
        results: None, or what results.json says.
        stages: a list of `Stage`.
        published: a list of (name, `Preset`) with numbers to compare with.
        baseline: None, or (name, perplexities as in a `Stage`) of a simpler model.
        samples: a list of `GeneratedText`.
        seed: of the samples.
        words: None or `WordTables`.
    """

    name: str
    config: TrainingConfig
    corpus: str
    vocabulary_size: int
    num_parameters: int
    metrics: list
    results: dict | None
    stages: list
    published: list
    baseline: tuple | None
    samples: list
    seed: int
    words: WordTables | None
