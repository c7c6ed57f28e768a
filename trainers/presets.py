"""Presets: named settings, with the perplexities published for them."""

import dataclasses

from trainers.config import TrainingConfig


@dataclasses.dataclass(frozen=True)
class Preset:
    """Named settings."""

    description: str  # for --help
    config: TrainingConfig
    expected: dict = dataclasses.field(default_factory=dict)  # (validation, test) by stage
    source: str = ""  # where these perplexities were published


@dataclasses.dataclass(frozen=True)
class Recipe:
    """Changes to the settings of any preset."""

    description: str  # for --help
    changes: dict


_PAPER = "Merity, Keskar and Socher 2017, tables 1 and 2"
_AUTHORS = "README of the authors' code"
_PTB = TrainingConfig()
_SMALL = {"embedding_dim": 200, "hidden_dim": 400, "num_layers": 2}
_WIKITEXT2 = TrainingConfig(corpus="wikitext2", batch_size=80, input_dropout=0.65)
_QRNN = {"rnn": "qrnn", "num_layers": 4, "hidden_dim": 1550, "weight_dropout": 0.1}
# Shared by the authors' command lines with Adam, which do not average.
_ADAM = TrainingConfig(
    optimizer="adam",
    learning_rate=1e-3,
    trigger="never",
    embedding_dropout=0.0,
    ar_alpha=0.0,
    tar_beta=0.0,
    seed=1111,
)
# One cycle of learning rate and momentum, as in fast.ai's training of AWD-LSTMs, for few epochs.
_ONE_CYCLE = {
    "optimizer": "adam",
    "learning_rate_schedule": "one_cycle",
    "learning_rate_drop_epochs": (),
    # A learning rate that falls to zero would leave nothing to average.
    "final_div_factor": 20.0,
    "momentum": 0.8,
    "momentum_min": 0.7,
    "initial_bias": "unigram",
    "batch_size": 40,
    "bptt": 35,
}

PRESETS = {
    "ptb": Preset(
        "Penn Treebank, as described in the paper",
        _PTB,
        {"trained": (60.7, 58.8), "fine-tuned": (60.0, 57.3), "cache": (53.9, 52.8)},
        _PAPER,
    ),
    "ptb_authors": Preset(
        "Penn Treebank, as in the authors' command line",
        _PTB.replace(batch_size=20, hidden_dropout=0.25, epochs=500),
        {"trained": (61.2, 58.8), "fine-tuned": (58.8, 56.5), "cache": (53.2, 52.5)},
        _AUTHORS,
    ),
    "ptb_small": Preset(
        "Penn Treebank with two small layers, for CPUs",
        _PTB.replace(**_SMALL, hidden_dropout=0.25, epochs=40),
    ),
    "ptb_cpu": Preset(
        "Penn Treebank with two medium layers, for two hours on a CPU core",
        _PTB.replace(
            embedding_dim=400,
            hidden_dim=650,
            num_layers=2,
            adaptive_softmax_cutoffs=(2000,),
            hidden_dropout=0.25,
            dropout_multiplier=0.85,
            **_ONE_CYCLE,
            learning_rate=0.004,
            warmup_fraction=0.2,
            trigger="epoch:20",
            epochs=28,
            validation_batch_size=40,
            test_batch_size=10,
        ),
    ),
    "ptb_qrnn": Preset(
        "Penn Treebank with QRNNs, as in the authors' command line",
        _PTB.replace(**_QRNN, batch_size=20, global_clipnorm=0.2, seed=9001, epochs=550),
        {"trained": (60.6, 58.3), "fine-tuned": (59.1, 56.7), "cache": (53.4, 52.6)},
        _AUTHORS,
    ),
    "wikitext2": Preset(
        "WikiText-2, as described in the paper",
        _WIKITEXT2,
        {"trained": (69.1, 66.0), "fine-tuned": (68.6, 65.8), "cache": (53.8, 52.0)},
        _PAPER,
    ),
    "wikitext2_authors": Preset(
        "WikiText-2, as in the authors' command line",
        _WIKITEXT2.replace(hidden_dropout=0.2, seed=1882),
        {"trained": (68.7, 65.6), "fine-tuned": (67.4, 64.7), "cache": (52.2, 50.6)},
        _AUTHORS,
    ),
    "wikitext2_qrnn": Preset(
        "WikiText-2 with QRNNs, as in the authors' command line",
        _PTB.replace(
            **_QRNN, corpus="wikitext2", batch_size=40, hidden_dropout=0.2, seed=4002, epochs=500
        ),
        {"trained": (69.3, 66.8), "fine-tuned": (68.5, 65.9), "cache": (53.6, 52.1)},
        _AUTHORS,
    ),
    "wikitext103_qrnn": Preset(
        "WikiText-103 with four QRNNs and an adaptive softmax, as in the authors' command line",
        _ADAM.replace(
            corpus="wikitext103",
            rnn="qrnn",
            hidden_dim=2500,
            num_layers=4,
            adaptive_softmax_cutoffs=(2800, 20000, 76000),
            input_dropout=0.1,
            hidden_dropout=0.1,
            output_dropout=0.1,
            weight_dropout=0.0,
            weight_decay=0.0,
            learning_rate_drop_epochs=(12,),
            epochs=14,
            batch_size=60,
            bptt=140,
        ),
        {"trained": (32.0, 33.0)},
        "Merity, Keskar and Socher 2018",
    ),
    "ptb_character": Preset(
        "the characters of Penn Treebank, as in the authors' command line",
        _ADAM.replace(
            corpus="ptb_character",
            embedding_dim=200,
            hidden_dim=1000,
            input_dropout=0.1,
            hidden_dropout=0.25,
            output_dropout=0.1,
            learning_rate=2e-3,
            learning_rate_drop_epochs=(300, 400),
            epochs=500,
            batch_size=128,
            bptt=150,
        ),
    ),
    "enwik8": Preset(
        "bytes of Wikipedia, as in the authors' command line",
        _ADAM.replace(
            corpus="enwik8",
            tokenizer="character",
            hidden_dim=1840,
            input_dropout=0.1,
            hidden_dropout=0.1,
            output_dropout=0.4,
            weight_dropout=0.2,
            learning_rate_drop_epochs=(25, 35),
            epochs=50,
            batch_size=128,
            bptt=200,
        ),
    ),
    "sotu": Preset(
        "the State of the Union messages with two small layers, as in the paper otherwise",
        TrainingConfig(
            corpus="sotu",
            **_SMALL,
            # Few epochs need less regularization, and short windows allow more steps.
            dropout_multiplier=0.3,
            ar_alpha=1.0,
            tar_beta=0.5,
            learning_rate=40.0,
            batch_size=20,
            validation_batch_size=80,
            test_batch_size=10,
            bptt=30,
            epochs=2,
            logging_interval=200,
            non_monotone_interval=0,
        ),
    ),
    "demo": Preset(
        "a small model of the State of the Union messages, trained in minutes on a CPU",
        TrainingConfig(
            corpus="sotu",
            embedding_dim=128,
            hidden_dim=384,
            num_layers=2,
            # A single epoch needs no regularization, and many small steps. The validation loss
            # falls until its end, so that the trigger would not fire.
            dropout_multiplier=0.0,
            ar_alpha=0.0,
            tar_beta=0.0,
            weight_decay=0.0,
            optimizer="adam",
            learning_rate=0.006,
            initial_bias="unigram",
            trigger="epoch:0.6",
            batch_size=10,
            validation_batch_size=80,
            test_batch_size=10,
            bptt=30,
            epochs=1,
            logging_interval=376,  # eight validations
        ),
    ),
}


RECIPES = {
    "paper": Recipe("no changes (SGD at a constant learning rate, then its average)", {}),
    # Few epochs need less regularization.
    "fast": Recipe(
        "eleven epochs of Adam with one cycle of learning rate and momentum, the last two "
        "averaged, and less regularization",
        {
            **_ONE_CYCLE,
            "learning_rate": 0.007,
            "warmup_fraction": 0.1,
            "trigger": "epoch:9",
            "dropout_multiplier": 0.45,
            "ar_alpha": 1.0,
            "tar_beta": 0.5,
            "epochs": 11,
        },
    ),
}

_CACHES = {
    "ptb": {"window": 500, "theta": 1.0, "lambda": 0.1},
    "wikitext2": {"window": 3785, "theta": 0.662, "lambda": 0.1279},
}


def authors_cache(corpus):
    """Returns the authors' settings of the cache; those for Penn Treebank for other corpora."""
    return _CACHES.get(corpus, _CACHES["ptb"])
