"""The run folder: where everything of a run lies, and who may continue it."""

import csv
import io
import json
import os
import pathlib
import shutil

from awd_keras.atomic_write import PARTIAL, atomic_write
from awd_keras.data.vocabulary import Vocabulary
from trainers.config import TrainingConfig
from trainers.errors import UserError

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


def write_beside(path, text):
    """Writes a text file beside its place and renames it: never half a file.

    Args:
        path: the file.
        text: its content.
    """
    with atomic_write(path, encoding="utf-8") as file:
        file.write(text)


class RunFolder:
    """`config.json vocabulary.txt metrics.csv results.json curves.png log.txt events/
    checkpoints/{last,best}/`.

    What a killed run wrote after its last checkpoint, it writes again when it goes on: metrics.csv
    is cut back before, but events/ only grows, and TensorBoard shows those steps twice.

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
        self.best_on_record = self.best_checkpoint.with_name("on_record.npz")

    def check(self, config=None):
        """Says whether there is a run to continue.

        Args:
            config: None, or the `TrainingConfig` with which somebody wants to continue.

        Returns:
            True if there is a run, False if the folder is missing or empty.

        Raises:
            UserError: if the folder holds something else, or a run of other settings.
        """
        if not self.path.exists():
            return False
        if not self.path.is_dir():
            raise UserError(
                f"{self.path} is a file, expected the folder of a run. Choose another folder; of a "
                "file of weights `python -m trainers.convert --help` says how to make one."
            )
        # A run that was killed as it began leaves at most this.
        if all(path.name.endswith(PARTIAL) for path in self.path.iterdir()):
            return False
        if not self.config_file.exists():
            raise UserError(
                f"{self.path} is not empty and holds no config.json, so it is not a run. Choose "
                "another folder; nothing was changed."
            )
        if config is not None:
            recorded = self.read_config()[0]
            if _is_same_run(recorded.initial_run, config.initial_run):
                recorded = recorded.replace(initial_run=config.initial_run)
            differences = recorded.differences(config)
            if differences:
                raise UserError(
                    f"{self.path} holds a run with other settings ({'; '.join(differences)}). "
                    "Continue it with its own, or choose another folder."
                )
        return True

    def read_config(self):
        """The settings of the run and facts about its corpus.

        Returns:
            `(TrainingConfig, facts)`.

        Raises:
            UserError: if config.json is unreadable.
        """
        try:
            content = json.loads(self.config_file.read_text(encoding="utf-8"))
            return TrainingConfig.from_dict(content["settings"]), content["corpus"]
        except KeyError as error:
            raise UserError(
                f"{self.config_file} is not that of a run: it has no {error}."
            ) from None
        except (OSError, ValueError, TypeError) as error:
            raise UserError(f"{self.config_file} cannot be read: {error}") from error

    def begin(self, config, corpus):
        """Makes the folder, or checks that its run has these settings and this corpus.

        Args:
            config: `TrainingConfig`.
            corpus: `Corpus`.

        Raises:
            UserError: as `check` does, or if the run was made with another corpus.
        """
        facts = {
            "name": corpus.name,
            "vocabulary_digest": corpus.vocabulary.digest,
            "num_tokens": corpus.token_counts,
            "text_digest": corpus.digest,
        }
        if self.check(config):
            recorded = self.read_config()[1]
            if any(recorded.get(name, fact) != fact for name, fact in facts.items()):
                raise UserError(
                    f"The run in {self.path} was made with another text: {recorded}. "
                    f"Received: {facts}"
                )
        self.path.mkdir(parents=True, exist_ok=True)
        content = {"settings": config.to_dict(), "corpus": facts}
        # First of all: by this file a folder is known as a run's.
        write_beside(self.config_file, json.dumps(content, indent=2) + "\n")
        corpus.vocabulary.save(self.vocabulary_file)

    def read_vocabulary(self):
        """The `Vocabulary` of the run.

        Raises:
            UserError: if it is missing or unreadable, or not the one on record.
        """
        try:
            vocabulary = Vocabulary.load(self.vocabulary_file)
        except (OSError, ValueError) as error:
            raise UserError(f"{self.vocabulary_file} cannot be read: {error}") from error
        recorded = self.read_config()[1].get("vocabulary_digest")
        # Other words as many would fit the weights, and every result would be wrong.
        if recorded is not None and recorded != vocabulary.digest:
            raise UserError(
                f"{self.vocabulary_file} does not hold the words of the run: expected sha256 "
                f"{recorded[:12]}, as config.json says. Received: {len(vocabulary):,} words, "
                f"sha256 {vocabulary.digest[:12]}. Put the run's own file in its place."
            )
        return vocabulary

    def read_metrics(self):
        """The complete rows of metrics.csv as dictionaries of strings; empty without the file."""
        if not self.metrics_file.exists():
            return []
        text = self.metrics_file.read_text(encoding="utf-8", errors="replace")
        # A row without its end is half a row: its step may be half a number.
        text = text[: text.rfind("\n") + 1]
        return [
            row
            for row in csv.DictReader(io.StringIO(text))
            if set(row) == set(METRICS_COLUMNS) and None not in row.values()
        ]

    def cut_metrics(self, step):
        """Drops rows after a step: a resumed run writes them again."""
        rows = [row for row in self.read_metrics() if row["step"].isdecimal()]
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
        """What `write_results` wrote, or None.

        Raises:
            UserError: if it is unreadable, or not the results of a run.
        """
        if not self.results_file.exists():
            return None
        try:
            results = json.loads(self.results_file.read_text(encoding="utf-8"))
        except ValueError as error:
            raise UserError(
                f"{self.results_file} cannot be read: {error}. Move it away to have it written "
                "again."
            ) from error
        if not _are_results(results):
            raise UserError(
                f"{self.results_file} is not that of a run: expected reason, epochs, "
                "triggered_at_step, and the perplexity of validation and test. Received: "
                f"{json.dumps(results)[:200]}. Move it away to have it written again."
            )
        return results

    def set_best_aside(self):
        """Keeps the best weights on record, before others that are on no record replace them."""
        beside = self.best_on_record.with_name(self.best_on_record.name + PARTIAL)
        try:
            shutil.copyfile(self.best_checkpoint, beside)
            os.replace(beside, self.best_on_record)
        finally:
            beside.unlink(missing_ok=True)

    def bring_best_back(self):
        """Undoes `set_best_aside`: the run goes on as if it had never stopped."""
        if self.best_on_record.exists():
            os.replace(self.best_on_record, self.best_checkpoint)


def _is_same_run(recorded, given):
    """Whether the path of a run that is on record and one that is given are of the same run."""
    if recorded is None or given is None:
        return recorded == given
    recorded, given = pathlib.Path(recorded).resolve(), pathlib.Path(given).resolve()
    # It may have been moved since, or be on record as it was typed in another current directory.
    return recorded == given or recorded.name == given.name and not recorded.exists()


def _are_results(results):
    """Whether something has the form of results.json, as far as anybody reads it."""
    if not isinstance(results, dict) or not isinstance(results.get("reason"), str):
        return False
    texts = [results.get(name) for name in ("validation", "test")]
    if not all(isinstance(text, dict) for text in texts):
        return False
    numbers = [results.get("epochs"), *(text.get("perplexity") for text in texts)]
    return "triggered_at_step" in results and all(
        isinstance(number, (int, float)) and not isinstance(number, bool) for number in numbers
    )
