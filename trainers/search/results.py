"""The trials of a search, as CSV and as a table."""

import csv
import io


def trial_results(oracle, epochs):
    """Returns the trials of a search, the best one first and those without a result last.

    Args:
        oracle: A `keras_tuner.Oracle`.
        epochs: Epochs of a trial without its own number.

    Returns:
        List of dictionaries with the keys `trial`, `status`, `epochs`, `validation_perplexity`
        (`None` for a trial without a result) and the tuned settings.
    """
    results = []
    for trial in oracle.trials.values():
        values = trial.hyperparameters.values
        is_completed = trial.status == "COMPLETED"
        results.append(
            {
                "trial": trial.trial_id,
                "status": trial.status,
                "epochs": values.get("tuner/epochs", epochs),
                "validation_perplexity": float(trial.score) if is_completed else None,
                # The others are Hyperband's.
                **{name: value for name, value in values.items() if "/" not in name},
            }
        )
    return sorted(results, key=lambda r: (r["validation_perplexity"] or float("inf"), r["trial"]))


def trials_csv(results):
    """Returns the trials as CSV, with all digits."""
    text = io.StringIO()
    writer = csv.DictWriter(text, results[0], lineterminator="\n")
    writer.writeheader()
    writer.writerows(results)
    return text.getvalue()


def trials_table(results):
    """Returns the trials as rows of strings, the heading first."""
    return [list(results[0]), *([format_value(value) for value in r.values()] for r in results)]


def format_value(value):
    """Formats a setting or a result with few digits."""
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
