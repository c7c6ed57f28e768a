"""What a search found: its trials as a table, what mattered, and the best as flags."""

import csv
import dataclasses
import io
import math

import numpy as np

from trainers.config import TrainingConfig


@dataclasses.dataclass(frozen=True)
class TrialResult:
    """One trial of a search.

    Args:
        trial_id: KerasTuner's name of it.
        status: "COMPLETED", "FAILED" (diverged), "RUNNING" (not yet at its end) or "INVALID".
        epochs: epochs it was trained for.
        perplexity: validation perplexity of its best weights, or None.
        settings: the settings that were tuned, by name.
    """

    trial_id: str
    status: str
    epochs: int
    perplexity: float | None
    settings: dict

    @classmethod
    def of(cls, trial, epochs):
        """The result of a KerasTuner trial; `epochs` where it has no own number of them."""
        values = trial.hyperparameters.values
        return cls(
            trial.trial_id,
            trial.status,
            values.get("tuner/epochs", epochs),
            _plain(trial.score) if trial.status == "COMPLETED" else None,
            # The others are Hyperband's own.
            {name: _plain(value) for name, value in values.items() if "/" not in name},
        )


def _plain(value):
    return value.item() if isinstance(value, np.generic) else value


def trial_results(oracle, epochs):
    """The trials of a search, the best first, those without a perplexity last.

    Args:
        oracle: the oracle of the search, not that of a worker.
        epochs: epochs of a trial, where it has no own number of them.

    Returns:
        a list of `TrialResult`.
    """
    found = [TrialResult.of(oracle.trials[trial_id], epochs) for trial_id in oracle.start_order]
    return sorted(found, key=lambda result: (result.perplexity is None, result.perplexity or 0.0))


def trials_csv(results):
    """The trials as CSV, all digits.

    Args:
        results: `TrialResult` objects.

    Returns:
        a string.
    """
    names = _names(results)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["trial", "status", "epochs", "validation_perplexity", *names])
    for result in results:
        perplexity = "" if result.perplexity is None else result.perplexity
        settings = [result.settings.get(name, "") for name in names]
        writer.writerow([result.trial_id, result.status, result.epochs, perplexity, *settings])
    return text.getvalue()


def trials_table(results, num_trials=None):
    """The trials as rows of texts, the heading first.

    Args:
        results: `TrialResult` objects.
        num_trials: how many to show, or None for all.

    Returns:
        a list of lists of strings.
    """
    names = _names(results)
    rows = [["trial", "perplexity", "epochs", *names]]
    for result in results[:num_trials]:
        perplexity = result.status.lower()
        if result.perplexity is not None:
            perplexity = f"{result.perplexity:.2f}"
        settings = [short(result.settings.get(name, "")) for name in names]
        rows.append([result.trial_id, perplexity, str(result.epochs), *settings])
    return rows


def _names(results):
    return list(dict.fromkeys(name for result in results for name in result.settings))


def short(value):
    """A setting in few digits.

    Example:

    >>> short(12.345678), short(True), short(400)
    ('12.35', 'True', '400')
    """
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def comparable(results):
    """The completed trials among those of the most frequent number of epochs."""
    completed = [result for result in results if result.perplexity is not None]
    epochs = [result.epochs for result in completed]
    usual = max(sorted(set(epochs), reverse=True), key=epochs.count, default=None)
    return [result for result in completed if result.epochs == usual]


def importance(results):
    """How much each setting says about the perplexity, by itself.

    Args:
        results: `TrialResult` objects.

    Returns:
        a dictionary of setting to the share of the variance of log perplexity that a parabola in
        the rank of this setting explains, corrected for chance (adjusted R squared, at least 0);
        the largest first. Trials of another number of epochs than most are left out; empty where
        fewer than five are left.

    Example:

    >>> results = [TrialResult(str(i), "COMPLETED", 1, 100.0 + (i - 4) ** 2, {"a": i % 2, "b": i})
    ...            for i in range(10)]
    >>> list(importance(results))
    ['b', 'a']
    """
    results = comparable(results)
    if len(results) < 5:
        return {}
    target = np.log([result.perplexity for result in results])
    found = {}
    for name in results[0].settings:
        values = [float(result.settings.get(name, math.nan)) for result in results]
        found[name] = _adjusted_r_squared(_ranks(values), target)
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def _ranks(values):
    """Ranks in [-1, 1]; equal values share theirs."""
    distinct = sorted(set(values))
    if len(distinct) < 2:
        return np.zeros(len(values))
    order = {value: 2 * index / (len(distinct) - 1) - 1 for index, value in enumerate(distinct)}
    return np.array([order[value] for value in values])


def _adjusted_r_squared(x, y):
    degree = min(2, len(set(x.tolist())) - 1)
    spread = np.sum((y - y.mean()) ** 2)
    if not degree or not spread:
        return 0.0
    residuals = y - np.polyval(np.polyfit(x, y, degree), x)
    explained = 1 - np.sum(residuals**2) / spread
    return float(max(0.0, 1 - (1 - explained) * (len(y) - 1) / (len(y) - degree - 1)))


def flags_of(config, preset_name, preset_config, comments=()):
    """Settings as a file for `--flagfile`.

    Args:
        config: `TrainingConfig`.
        preset_name: name of the preset to start from.
        preset_config: its `TrainingConfig`; what it has is left out.
        comments: lines for the beginning.

    Returns:
        a string.

    Raises:
        ValueError: if a flag cannot say a setting: None where the preset has something.

    Example:

    >>> config = TrainingConfig(hidden_dim=400, learning_rate_drop_epochs=(3, 5))
    >>> print(flags_of(config, "ptb", TrainingConfig()), end="")
    --preset=ptb
    --hidden_dim=400
    --learning_rate_drop_epochs=3,5
    """
    lines = [*(f"# {comment}" for comment in comments), f"--preset={preset_name}"]
    for field in dataclasses.fields(TrainingConfig):
        value = getattr(config, field.name)
        if value == getattr(preset_config, field.name):
            continue
        if value is None:
            raise ValueError(f"No flag can take {field.name} away from the preset {preset_name}.")
        if isinstance(value, tuple):
            value = ",".join(map(str, value))
        lines.append(f"--{field.name}={value}")
    return "\n".join(lines) + "\n"
