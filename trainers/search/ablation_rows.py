"""The rows of the paper's table 4."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Row:
    """The full model without one part."""

    title: str
    ptb: tuple  # perplexities in the paper on Penn Treebank, (validation, test)
    wikitext2: tuple  # the same on WikiText-2
    changes: dict = dataclasses.field(default_factory=dict)  # settings, or functions of the config
    fine_tuned: bool = True  # whether the model is fine-tuned after training
    trained_as: str | None = None  # name of the row whose training this row shares


ROWS = {
    "full": Row("AWD-LSTM, all parts", (60.0, 57.3), (68.6, 65.8)),
    "no_fine_tuning": Row(
        "- fine-tuning", (60.7, 58.8), (69.1, 66.0), fine_tuned=False, trained_as="full"
    ),
    # Not fine-tuned, because fine-tuning is averaged SGD too.
    "no_nt_asgd": Row(
        "- NT-ASGD",
        (66.3, 63.7),
        (73.3, 69.7),
        {"trigger_action": "reduce_learning_rate"},
        fine_tuned=False,
    ),
    "no_variable_length": Row(
        "- variable sequence lengths",
        (61.3, 58.9),
        (69.3, 66.2),
        {"bptt_full_probability": 1.0, "bptt_std": 0.0},
    ),
    "no_embedding_dropout": Row(
        "- embedding dropout", (65.1, 62.7), (71.1, 68.1), {"embedding_dropout": 0.0}
    ),
    "no_weight_decay": Row("- weight decay", (63.7, 61.0), (71.9, 68.7), {"weight_decay": 0.0}),
    "no_ar_tar": Row("- AR/TAR", (62.7, 60.3), (73.2, 70.1), {"ar_alpha": 0.0, "tar_beta": 0.0}),
    "full_sized_embedding": Row(
        "- reduced embedding (full-sized)",
        (68.0, 65.6),
        (73.7, 70.7),
        {"embedding_dim": lambda config: config.hidden_dim},
    ),
    "no_weight_dropping": Row(
        "- weight-dropping", (71.1, 68.9), (78.4, 74.9), {"weight_dropout": 0.0}
    ),
}
