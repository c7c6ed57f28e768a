"""Folders of runs, searches and ablations: what they contain, and whether they may be resumed."""

import contextlib
import csv
import io
import json
import os
import pathlib

from awd_keras.atomic_write import PARTIAL, atomic_write
from awd_keras.data.vocabulary import Vocabulary
from trainers.config import TrainingConfig
from trainers.errors import UserError

try:
    import fcntl
except ImportError:  # Windows does not have these locks
    fcntl = None

METRICS_COLUMNS = (
    *("epoch", "step", "tokens", "learning_rate", "train_loss", "validation_loss"),
    *("validation_perplexity", "raw_validation_perplexity", "averaging"),
    *("seconds", "tokens_per_second"),
)


class RecordedFolder:
    """A folder with a JSON record of the settings and the text it was started with.

    It can be resumed only with the same text and settings, except for settings that may change.

    Args:
        path: The folder.
        kind: What it contains, such as `"search"`.
        record_name: File name of the record. Defaults to `<kind>.json`.
        may_change: Names of options that may change on resume.
    """

    def __init__(self, path, kind, record_name=None, may_change=()):
        self.path = pathlib.Path(path)
        self.kind = kind
        self.record_file = self.path / (record_name or f"{kind}.json")
        self._may_change = frozenset(may_change)

    def check(self, config=None, options=None, corpus=None, resume=True):
        """Returns whether there is work to resume: `False` if the folder is missing or empty.

        Args:
            config: The `TrainingConfig` to resume with. Defaults to any.
            options: A dictionary of further settings, such as those of a search. Defaults to any.
            corpus: The `Corpus` to resume with. Defaults to any.
            resume: Whether resuming is allowed. Defaults to `True`.

        Raises:
            UserError: If the folder must not be used with these arguments.
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
                f"The {self.kind} in {self.path} has other settings ({'; '.join(differences)}). "
                "Resume it with its own settings, or choose another folder."
            )
        facts = {} if corpus is None else _facts(corpus)
        if any(recorded_facts.get(name, fact) != fact for name, fact in facts.items()):
            raise UserError(
                f"The {self.kind} in {self.path} was started with another text: {recorded_facts}. "
                f"Received: {facts}. Set --data_dir to its text, or choose another folder."
            )
        if not resume:
            raise UserError(
                f"{self.path} is already a {self.kind} folder. Omit --noresume to resume "
                "it, or choose another folder."
            )
        return True

    def begin(self, config, corpus, options=None):
        """Creates the folder and its record; raises `UserError` as `check` does."""
        self.check(config, options, corpus)
        self.path.mkdir(parents=True, exist_ok=True)
        self.write_record(config, _facts(corpus), options)

    def write_record(self, config, facts, options=None):
        """Writes the record: the settings, facts about the corpus and further options."""
        record = {"settings": config.to_dict(), "corpus": facts, "options": options or {}}
        self.write(self.record_file.name, json.dumps(record, indent=2) + "\n")

    def write(self, name, text):
        """Writes a text file in the folder atomically."""
        with atomic_write(self.path / name, encoding="utf-8") as file:
            file.write(text)

    def read_config(self):
        """Returns the settings and facts about the corpus, `(config, facts)`."""
        if not self.check():
            raise UserError(f"There is no {self.kind} in {self.path}.")
        return self._read()[:2]

    def _read(self):
        try:
            record = json.loads(self.record_file.read_text(encoding="utf-8"))
            config = TrainingConfig.from_dict(record["settings"])
            return config, record["corpus"], record.get("options", {})
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise UserError(f"{self.record_file} cannot be read ({error!r}).") from error

    @contextlib.contextmanager
    def lock(self):
        """Locks the folder, or raises `UserError` if another process has locked it."""
        self.path.mkdir(parents=True, exist_ok=True)
        if fcntl is None:
            yield
            return
        descriptor = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise UserError(
                f"Another process is working in {self.path}. Wait for it, or choose another folder."
            ) from None
        except OSError:
            pass  # a file system without locks
        try:
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

    A resumed run repeats the steps after the last checkpoint. Their rows are removed from
    `metrics.csv` first, but not from `events/`, so TensorBoard may show steps twice.
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
        # Another vocabulary of the same size would fit the weights, but make every result wrong.
        if recorded not in (None, vocabulary.digest):
            raise UserError(
                f"{self.vocabulary_file} is not the vocabulary of the run: expected sha256 "
                f"{recorded[:12]}. Received: {len(vocabulary):,} words, sha256 "
                f"{vocabulary.digest[:12]}. Restore the original file."
            )
        return vocabulary

    def read_metrics(self):
        """Returns the rows of `metrics.csv` as dictionaries of strings; `[]` if it is missing."""
        if not self.metrics_file.exists():
            return []
        text = self.metrics_file.read_text(encoding="utf-8", errors="replace")
        # A killed run may have written only part of the last row.
        rows = csv.DictReader(io.StringIO(text[: text.rfind("\n") + 1]))
        return [row for row in rows if None not in row.values()]

    def truncate_metrics(self, step):
        """Removes the rows after a step, which a resumed run writes again."""
        text = io.StringIO()
        writer = csv.DictWriter(text, METRICS_COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(row for row in self.read_metrics() if int(row["step"]) <= step)
        self.write(self.metrics_file.name, text.getvalue())

    def append_metrics(self, **row):
        with open(self.metrics_file, "a", newline="", encoding="utf-8") as file:
            csv.DictWriter(file, METRICS_COLUMNS, lineterminator="\n").writerow(row)

    def write_results(self, results):
        self.write(self.results_file.name, json.dumps(results, indent=2) + "\n")

    def read_results(self):
        """Returns what `write_results` wrote, or `None` for a run without results."""
        if not self.results_file.exists():
            return None
        try:
            return dict(json.loads(self.results_file.read_text(encoding="utf-8")))
        except (ValueError, TypeError) as error:
            raise UserError(
                f"{self.results_file} cannot be read ({error}). Delete it, then resume the run."
            ) from error

    def stash_best(self):
        """Keeps the best weights of a logged validation before others replace them."""
        content = self.best_checkpoint.read_bytes()
        with atomic_write(self._stashed_best, "wb") as file:
            file.write(content)

    def restore_best(self):
        """Undoes `stash_best`."""
        if self._stashed_best.exists():
            os.replace(self._stashed_best, self.best_checkpoint)
