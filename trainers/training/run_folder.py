"""Folders of runs, searches and ablations: to whom they belong, and whether they may be resumed."""

import contextlib
import csv
import io
import json
import os
import pathlib

from awd_keras.atomic_write import PARTIAL, atomic_folder, atomic_write
from awd_keras.data.vocabulary import Vocabulary
from trainers.config import TrainingConfig
from trainers.errors import UserError
from trainers.training.checkpoint import save_weights

try:
    import fcntl
except ImportError:  # Windows has no such locks
    fcntl = None

METRICS_COLUMNS = (
    *("epoch", "step", "tokens", "learning_rate", "train_loss", "validation_loss"),
    *("validation_perplexity", "raw_validation_perplexity", "averaging"),
    *("seconds", "tokens_per_second"),
)


def write_text(path, text):
    """Writes a text file atomically."""
    with atomic_write(path, encoding="utf-8") as file:
        file.write(text)


class RecordedFolder:
    """A folder identified by a JSON record of the settings and the text it was started with.

    Work in it may be resumed only with the same text and the same settings, except those that may
    change (see `TrainingConfig.differences`).

    Args:
        path: The folder.
        kind: What it contains, such as `"search"`.
        record_name: File name of the record. Defaults to the kind with the suffix `.json`.
        may_change: Names of options that may change on resume.
    """

    def __init__(self, path, kind, record_name=None, may_change=()):
        self.path = pathlib.Path(path)
        self.kind = kind
        self.record_file = self.path / (record_name or f"{kind}.json")
        self._may_change = frozenset(may_change)

    def check(self, config=None, options=None, corpus=None):
        """Returns whether the folder has something to resume.

        Args:
            config: The `TrainingConfig` to resume with. Defaults to any.
            options: A dictionary of further settings, such as those of a search. Defaults to any.
            corpus: The `Corpus` to resume with. Defaults to any.

        Returns:
            `True` if there is a record, `False` if the folder is missing or empty.

        Raises:
            UserError: If the folder contains something else, or was started with other settings
                or another text.
        """
        if not self.path.exists():
            return False
        if not self.path.is_dir():
            raise UserError(f"{self.path} is a file, not a {self.kind} folder.")
        if not self.record_file.exists():
            if any(not path.name.endswith(PARTIAL) for path in self.path.iterdir()):
                raise UserError(
                    f"{self.path} is not empty and not a {self.kind} folder: it has no "
                    f"{self.record_file.name}. Choose another folder; nothing was changed."
                )
            return False
        recorded, recorded_facts, recorded_options = self._read()
        differences = [] if config is None else recorded.differences(config)
        differences += [
            f"{name}: {recorded_options.get(name)} -> {value}"
            for name, value in (options or {}).items()
            if name not in self._may_change and recorded_options.get(name) != value
        ]
        if differences:
            raise UserError(
                f"{self.path} contains a {self.kind} with other settings "
                f"({'; '.join(differences)}). Resume it with its own, or choose another folder."
            )
        facts = {} if corpus is None else _facts(corpus)
        if any(recorded_facts.get(name, fact) != fact for name, fact in facts.items()):
            raise UserError(
                f"The {self.kind} in {self.path} was started with another text: {recorded_facts}. "
                f"Received: {facts}. Name its own by --data_dir, or choose another folder."
            )
        return True

    def begin(self, config, corpus, options=None):
        """Creates the folder and its record; raises `UserError` as `check` does."""
        self.check(config, options, corpus)
        self.path.mkdir(parents=True, exist_ok=True)
        self.write_record(config, _facts(corpus), options)

    def write_record(self, config, facts, options=None):
        """Writes the record: the settings, facts about the corpus and further options."""
        record = {"settings": config.to_dict(), "corpus": facts}
        if options is not None:
            record["options"] = options
        write_text(self.record_file, json.dumps(record, indent=2) + "\n")

    def read_config(self):
        """Returns the settings and facts about the corpus, `(TrainingConfig, dict)`."""
        return self._read()[:2]

    def _read(self):
        try:
            record = json.loads(self.record_file.read_text(encoding="utf-8"))
            config = TrainingConfig.from_dict(record["settings"])
            return config, record["corpus"], record.get("options", {})
        except (OSError, ValueError, TypeError, KeyError) as error:
            reason = f"{type(error).__name__}: {error}"
            raise UserError(f"{self.record_file} cannot be read ({reason}).") from error

    @contextlib.contextmanager
    def lock(self):
        """Locks the folder for this process, where the file system has locks.

        Raises:
            UserError: If another process has locked the folder.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        if fcntl is None:
            yield
            return
        descriptor = os.open(self.path, os.O_RDONLY)
        try:
            with contextlib.suppress(OSError):
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    raise UserError(
                        f"Another process is working in {self.path}. Wait for it, or choose "
                        "another folder."
                    ) from None
            yield
        finally:
            os.close(descriptor)


def _facts(corpus):
    return {
        "name": corpus.name,
        "vocabulary_digest": corpus.vocabulary.digest,
        "num_tokens": corpus.token_counts,
        "text_digest": corpus.digest,
    }


class RunFolder(RecordedFolder):
    """The folder of a training run.

    It contains `config.json`, `vocabulary.txt`, `metrics.csv`, `results.json`, `curves.png`,
    `log.txt`, `events/` and `checkpoints/{last,best}/`.

    A resumed run repeats what a killed one did after its last checkpoint. Therefore `metrics.csv`
    is truncated to that checkpoint first; `events/` is not, and TensorBoard shows the repeated
    steps twice.

    Args:
        path: The folder.
    """

    def __init__(self, path):
        super().__init__(path, "run", "config.json")
        self.vocabulary_file = self.path / "vocabulary.txt"
        self.metrics_file = self.path / "metrics.csv"
        self.results_file = self.path / "results.json"
        self.curves_file = self.path / "curves.png"
        self.log_file = self.path / "log.txt"
        self.events = self.path / "events"
        self.last_checkpoint = self.path / "checkpoints" / "last" / "checkpoint.npz"
        self.best_checkpoint = self.path / "checkpoints" / "best" / "checkpoint.npz"
        self._stashed_best = self.best_checkpoint.with_name("stashed.npz")

    def begin(self, config, corpus, options=None):
        super().begin(config, corpus, options)
        corpus.vocabulary.save(self.vocabulary_file)

    def read_vocabulary(self):
        """Returns the `Vocabulary`; raises `UserError` if it is not the one on record."""
        try:
            vocabulary = Vocabulary.load(self.vocabulary_file)
        except (OSError, ValueError) as error:
            raise UserError(f"{self.vocabulary_file} cannot be read: {error}") from error
        recorded = self.read_config()[1].get("vocabulary_digest")
        # Another vocabulary of this size would fit the weights and make every result wrong.
        if recorded not in (None, vocabulary.digest):
            raise UserError(
                f"{self.vocabulary_file} is not the vocabulary of the run: expected sha256 "
                f"{recorded[:12]}, from {self.record_file.name}. Received: {len(vocabulary):,} "
                f"words, sha256 {vocabulary.digest[:12]}. Restore the original file."
            )
        return vocabulary

    def read_metrics(self):
        """Returns the rows of `metrics.csv`, dictionaries of strings; none without the file."""
        if not self.metrics_file.exists():
            return []
        text = self.metrics_file.read_text(encoding="utf-8", errors="replace")
        # A killed run may have written half of the last row: skip one without its newline.
        rows = csv.DictReader(io.StringIO(text[: text.rfind("\n") + 1]))
        return [row for row in rows if None not in row.values()]

    def truncate_metrics(self, step):
        """Removes the rows after a step, which a resumed run writes again."""
        text = io.StringIO()
        writer = csv.DictWriter(text, METRICS_COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(row for row in self.read_metrics() if int(row["step"]) <= step)
        write_text(self.metrics_file, text.getvalue())

    def append_metrics(self, row):
        """Appends a row to `metrics.csv`, with all digits of its floats."""
        with open(self.metrics_file, "a", newline="", encoding="utf-8") as file:
            csv.DictWriter(file, METRICS_COLUMNS, lineterminator="\n").writerow(row)

    def write_results(self, results):
        """Writes `results.json`."""
        write_text(self.results_file, json.dumps(results, indent=2) + "\n")

    def read_results(self):
        """Returns what `write_results` wrote, or `None` for a run without results."""
        if not self.results_file.exists():
            return None
        try:
            return dict(json.loads(self.results_file.read_text(encoding="utf-8")))
        except (ValueError, TypeError) as error:
            raise UserError(
                f"{self.results_file} cannot be read: {error}. Move it away and run the training "
                "command again to restore it."
            ) from error

    def stash_best(self):
        """Keeps the best weights of a logged validation before others replace them."""
        content = self.best_checkpoint.read_bytes()
        with atomic_write(self._stashed_best, "wb") as file:
            file.write(content)

    def restore_best(self):
        """Undoes `stash_best`, so that the run resumes as if it had never stopped."""
        if self._stashed_best.exists():
            os.replace(self._stashed_best, self.best_checkpoint)


def write_trained_run(workdir, model, vocabulary, config, corpus_name, source):
    """Writes a run folder whose best weights are those of a model, such as an imported one.

    The folder has no metrics and no results, since nothing was trained. The record in `config.json`
    names the corpus, for the labels of results, and the source of the weights.

    Raises:
        UserError: If the folder is not empty.
    """
    path = pathlib.Path(workdir)
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise UserError(f"{path} must be a new or an empty folder; nothing was changed.")
    facts = {
        "name": corpus_name,
        "vocabulary_digest": vocabulary.digest,
        "weights_from": source,
    }
    with atomic_folder(path) as temporary:
        folder = RunFolder(temporary)
        folder.write_record(config, facts)
        vocabulary.save(folder.vocabulary_file)
        save_weights(folder.best_checkpoint, model, {"step": 0, "weights_from": source})
