"""The run folder: where everything of a run lies, and who may continue it."""

import csv
import io
import json
import os
import pathlib

from awd_keras.config import ConfigError, TrainingConfig
from awd_keras.data.vocabulary import Vocabulary

METRICS_COLUMNS = (
    "epoch",
    "step",
    "tokens",
    "learning_rate",
    "train_loss",
    "validation_loss",
    "validation_perplexity",
    "raw_validation_perplexity",
    "averaging",
    "seconds",
    "tokens_per_second",
)


class RunFolderError(ValueError):
    """A folder that is no run's, or another run's."""


def write_beside(path, text):
    """Writes a text file beside its place and renames it: never half a file.

    Args:
        path: the file.
        text: its content.
    """
    path = pathlib.Path(path)
    beside = path.with_name(path.name + ".partial")
    try:
        with open(beside, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


class RunFolder:
    """`config.json vocabulary.txt metrics.csv results.json curves.png log.txt events/
    checkpoints/{last,best}/`.

    Args:
        path: the folder.
    """

    def __init__(self, path):
        self.path = pathlib.Path(path)
        self.config_file = self.path / "config.json"
        self.vocabulary_file = self.path / "vocabulary.txt"
        self.metrics_file = self.path / "metrics.csv"
        self.results_file = self.path / "results.json"
        self.curves_file = self.path / "curves.png"
        self.log_file = self.path / "log.txt"
        self.events = self.path / "events"
        self.last_checkpoint = self.path / "checkpoints" / "last" / "checkpoint.npz"
        self.best_checkpoint = self.path / "checkpoints" / "best" / "checkpoint.npz"

    def check(self, config=None):
        """Says whether there is a run to continue.

        Args:
            config: None, or the `TrainingConfig` with which somebody wants to continue.

        Returns:
            True if there is a run, False if the folder is missing or empty.

        Raises:
            RunFolderError: if the folder holds something else, or a run of other settings.
        """
        if not self.path.exists() or (self.path.is_dir() and not any(self.path.iterdir())):
            return False
        if not self.path.is_dir():
            raise RunFolderError(f"{self.path} is a file. Choose another folder by --workdir.")
        if not self.config_file.exists():
            raise RunFolderError(
                f"{self.path} is not empty and holds no config.json, so it is not a run. Choose "
                "another folder by --workdir; nothing was changed."
            )
        if config is not None:
            differences = self.read_config()[0].differences(config)
            if differences:
                raise RunFolderError(
                    f"{self.path} holds a run with other settings ({'; '.join(differences)}). "
                    "Continue it with its own, or choose another folder by --workdir."
                )
        return True

    def read_config(self):
        """The settings of the run and facts about its corpus.

        Returns:
            `(TrainingConfig, facts)`.

        Raises:
            RunFolderError: if config.json is unreadable.
        """
        try:
            content = json.loads(self.config_file.read_text(encoding="utf-8"))
            return TrainingConfig.from_dict(content["settings"]), content["corpus"]
        except (OSError, ValueError, KeyError, TypeError, ConfigError) as error:
            raise RunFolderError(f"{self.config_file} cannot be read: {error}") from error

    def begin(self, config, corpus):
        """Makes the folder, or checks that its run had this corpus.

        Args:
            config: `TrainingConfig`.
            corpus: `Corpus`.

        Raises:
            RunFolderError: if the run was made with another corpus.
        """
        facts = {
            "name": corpus.name,
            "vocabulary_digest": corpus.vocabulary.digest,
            "num_tokens": corpus.token_counts,
        }
        if self.config_file.exists():
            recorded = self.read_config()[1]
            if recorded != facts:
                raise RunFolderError(
                    f"The run in {self.path} was made with another text: {recorded}. "
                    f"Received: {facts}"
                )
        self.path.mkdir(parents=True, exist_ok=True)
        corpus.vocabulary.save(self.vocabulary_file)
        content = {"settings": config.to_dict(), "corpus": facts}
        write_beside(self.config_file, json.dumps(content, indent=2) + "\n")

    def read_vocabulary(self):
        """The `Vocabulary` of the run."""
        return Vocabulary.load(self.vocabulary_file)

    def read_metrics(self):
        """The rows of metrics.csv as dictionaries of strings; empty without the file."""
        if not self.metrics_file.exists():
            return []
        with open(self.metrics_file, newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))

    def cut_metrics(self, step):
        """Drops rows after a step: a resumed run writes them again."""
        rows = [row for row in self.read_metrics() if (row["step"] or "").isdigit()]
        text = io.StringIO()
        writer = csv.DictWriter(text, METRICS_COLUMNS, lineterminator="\n", extrasaction="ignore")
        writer.writeheader()
        writer.writerows(row for row in rows if int(row["step"]) <= step)
        write_beside(self.metrics_file, text.getvalue())

    def append_metrics(self, row):
        """Adds a row to metrics.csv. Floats keep all digits."""
        with open(self.metrics_file, "a", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, METRICS_COLUMNS, lineterminator="\n")
            writer.writerow(row)

    def write_results(self, results):
        """Writes results.json."""
        write_beside(self.results_file, json.dumps(results, indent=2) + "\n")

    def read_results(self):
        """What `write_results` wrote, or None."""
        if not self.results_file.exists():
            return None
        return json.loads(self.results_file.read_text(encoding="utf-8"))
