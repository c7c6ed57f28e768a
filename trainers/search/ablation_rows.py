"""The paper's table 4: what each part of the model is worth. Rows are data."""

import dataclasses
import types
from collections.abc import Callable

from trainers.errors import UserError


@dataclasses.dataclass(frozen=True)
class AblationRow:
    """The full model without one part.

    Args:
        title: the row's text in the paper's table.
        changes: function of a `TrainingConfig` that returns the settings to change, by name.
        fine_tuned: whether the model is fine-tuned after training.
        paper: perplexities (validation, test) in the paper, by corpus.
        trained_as: None, or the name of a row with the same training: its runs serve here too.
    """

    title: str
    changes: Callable
    fine_tuned: bool
    paper: types.MappingProxyType
    trained_as: str | None = None

    def config(self, config):
        """The settings of training without this part.

        Args:
            config: `TrainingConfig` of the full model.

        Returns:
            a `TrainingConfig`.

        Raises:
            UserError: if the full model lacks the part already.
        """
        changes = self.changes(config)
        changed = config.replace(**changes)
        if changes and changed == config:
            settings = ", ".join(f"{name}={value}" for name, value in changes.items())
            raise UserError(
                f"The row {self.title!r} changes nothing: the full model has {settings} already. "
                "Leave it out of --rows, or give the full model that part."
            )
        return changed


def _row(title, ptb, wikitext2, fine_tuned=True, trained_as=None, changes=None, **constants):
    paper = types.MappingProxyType({"ptb": ptb, "wikitext2": wikitext2})
    changes = changes or (lambda config: constants)
    return AblationRow(title, changes, fine_tuned, paper, trained_as)


FULL = "full"
ABLATION_ROWS = types.MappingProxyType(
    {
        FULL: _row("AWD-LSTM, all parts", (60.0, 57.3), (68.6, 65.8)),
        "no_fine_tuning": _row(
            "- fine-tuning", (60.7, 58.8), (69.1, 66.0), fine_tuned=False, trained_as=FULL
        ),
        # SGD whose learning rate is halved on the same test. Fine-tuning is averaged SGD: it would
        # bring the part back that is missing.
        "no_nt_asgd": _row(
            "- NT-ASGD",
            (66.3, 63.7),
            (73.3, 69.7),
            fine_tuned=False,
            trigger_action="reduce_learning_rate",
        ),
        "no_variable_length": _row(
            "- variable sequence lengths",
            (61.3, 58.9),
            (69.3, 66.2),
            bptt_full_probability=1.0,
            bptt_std=0.0,
        ),
        "no_embedding_dropout": _row(
            "- embedding dropout", (65.1, 62.7), (71.1, 68.1), embedding_dropout=0.0
        ),
        "no_weight_decay": _row("- weight decay", (63.7, 61.0), (71.9, 68.7), weight_decay=0.0),
        "no_ar_tar": _row("- AR/TAR", (62.7, 60.3), (73.2, 70.1), ar_alpha=0.0, tar_beta=0.0),
        "full_sized_embedding": _row(
            "- reduced embedding (full-sized)",
            (68.0, 65.6),
            (73.7, 70.7),
            changes=lambda config: {"embedding_dim": config.hidden_dim},
        ),
        "no_weight_dropping": _row(
            "- weight-dropping", (71.1, 68.9), (78.4, 74.9), weight_dropout=0.0
        ),
    }
)


def ablation_row(name):
    """Looks a row up.

    Args:
        name: its name.

    Returns:
        the `AblationRow`.

    Raises:
        UserError: if there is none of that name.

    Example:

    >>> ablation_row("no_ar_tar").paper["ptb"]
    (62.7, 60.3)
    """
    if name not in ABLATION_ROWS:
        raise UserError(f"rows must be some of {', '.join(ABLATION_ROWS)}. Received: {name!r}")
    return ABLATION_ROWS[name]
