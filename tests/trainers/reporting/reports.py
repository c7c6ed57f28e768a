"""Reports of runs that never were, and the texts of a table's rows."""

from trainers.config import TrainingConfig
from trainers.reporting import RunReport, Stage, WordRow, WordTables

NOTHING = "\N{EN DASH}"


def make_words(**changes):
    rows = {
        "by_total": [WordRow("the", 1200, 2400.0, -3.25), WordRow("of", 30, 1234.56, 1.0)],
        "by_mean": [WordRow("<unk>", 7, 70.49, 0.0)],
        "gained": [WordRow("senate", 9, 9.0, 12.34)],
        "lost": [WordRow("<eos>", 8, 8.0, -0.56)],
    }
    return WordTables(
        **{
            "text": "the validation text",
            "cache": "window 7",
            "min_count": 5,
            "num_tokens": 19_999,
            "perplexity": 1234.567,
            "perplexity_with_cache": 99.994,
            **rows,
            **changes,
        }
    )


def make_report(name="run", **changes):
    report = {
        "name": name,
        "config": TrainingConfig(),
        "corpus": "penn",
        "vocabulary_size": 10_000,
        "num_parameters": 24_221_600,
        "metrics": [{"epoch": "1.5", "seconds": "3675.2"}],
        "results": {"epochs": 2, "triggered_at_step": 1500},
        "stages": [Stage("trained", "trained", "", {"validation": 90.456, "test": 88.0})],
        "published": [],
        "baseline": None,
        "samples": [],
        "seed": 4,
        "words": None,
    }
    return RunReport(**{**report, **changes})


def cells(rows):
    return [row for _, row in rows]
