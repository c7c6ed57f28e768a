"""Folders of runs, searches and ablations: what they contain, and whether they may be resumed."""

import contextlib
import csv
import io
import json
import math
import os
import pathlib
import warnings

import numpy as np

from awd_keras.atomic_write import PARTIAL, atomic_write
from awd_keras.data.tokenizer import Tokenizer
from awd_keras.data.vocabulary import Vocabulary
from awd_keras.evaluation.evaluate import EvaluationResult, perplexity
from trainers.config import TrainingConfig
from trainers.errors import UserError
from trainers.training.checkpoint import read_checkpoint, restore_variables, weights_by_name
from trainers.training.records import check_form, read_record, reading

try:
    import fcntl
except ImportError:  # Windows does not have these locks
    fcntl = None

METRICS_COLUMNS = (
    *("epoch", "step", "tokens", "learning_rate", "train_loss", "validation_loss"),
    *("validation_perplexity", "raw_validation_perplexity", "averaging"),
    *("seconds", "tokens_per_second"),
)
_OPTIONAL_COLUMN = "raw_validation_perplexity"
_NUMBER = int | float
_FACTS = {"name": str, "vocabulary_digest": (str,), "num_tokens": (dict,), "text_digest": (str,)}
_RECORD = {"settings": dict, "corpus": _FACTS, "options": (dict,)}
_BEST = {"step": int, "validation": ({"total_loss": _NUMBER, "num_tokens": int},)}
_PERPLEXITY = {"perplexity": _NUMBER}
_RESULTS = {
    **{"epochs": _NUMBER, "triggered_at_step": (int,), "stopped_at_step": (int,)},
    **{"validation": _PERPLEXITY, "test": (_PERPLEXITY,)},
}


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
        advice = "Restore it from a copy, or choose another folder."
        record = read_record(self.record_file, _RECORD, advice)
        with reading(self.record_file, advice):
            config = TrainingConfig.from_dict(record["settings"])
        return config, record["corpus"], record["options"] or {}

    @contextlib.contextmanager
    def lock(self):
        """Locks the folder, or raises `UserError` if another process has locked it.

        Some network file systems have no locks; then there is only a warning.
        """
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
        except OSError as error:
            warnings.warn(
                f"cannot lock {self.path} ({error.strerror}), so do not start a second process on "
                "it",
                stacklevel=1,
            )
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
        config, facts = self.read_config()
        tokenizer = Tokenizer(config.tokenizer, config.lowercase)
        with reading(self.vocabulary_file, "Restore the original file."):
            vocabulary = Vocabulary.load(self.vocabulary_file, tokenizer)
        recorded = facts.get("vocabulary_digest")
        # Another vocabulary of the same size would fit the weights, but make every result wrong.
        if recorded not in (None, vocabulary.digest):
            raise UserError(
                f"{self.vocabulary_file} is not the vocabulary of the run: expected sha256 "
                f"{recorded[:12]}. Received: {len(vocabulary):,} words, sha256 "
                f"{vocabulary.digest[:12]}. Restore the original file."
            )
        return vocabulary

    def read_metrics(self):
        """Returns the rows of `metrics.csv` as dictionaries of strings; `[]` if it is missing.

        Raises:
            UserError: If it is damaged.
        """
        if not self.metrics_file.exists():
            return []
        text = self.metrics_file.read_text(encoding="utf-8", errors="replace")
        # A killed run may have written only part of the last row.
        lines = io.StringIO(text[: text.rfind("\n") + 1])
        with reading(self.metrics_file, "Restore it from a copy, or delete it."):
            rows = [row for row in csv.DictReader(lines) if None not in row.values()]
            for row in rows:
                numbers = [
                    row.get(c) for c in METRICS_COLUMNS if row.get(c) or c != _OPTIONAL_COLUMN
                ]
                if None in numbers or len(row) != len(METRICS_COLUMNS):
                    raise ValueError(f"unexpected columns {','.join(row)}")
                if math.isnan(sum(map(float, numbers), int(row["step"]))):
                    raise ValueError(f"unexpected row {row}")
        return rows

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
        return read_record(self.results_file, _RESULTS, "Delete it, then resume the run.")

    def load_best(self, model):
        """Restores the best weights of the run into a model, and returns the facts about them.

        Raises:
            UserError: If they are missing, damaged or not the best weights of a run.
        """
        arrays, facts = self.read_best()
        restore_variables(weights_by_name(model), arrays, self.best_checkpoint)
        return facts

    def read_best(self, path=None, loss=None):
        """Returns the `(arrays, facts)` of the best checkpoint; raises `UserError`."""
        path = path or self.best_checkpoint
        try:
            arrays, facts = read_checkpoint(path)
            check_form(facts, _BEST)  # others, for example, are in a copy of the last checkpoint
            for name, array in arrays.items():
                if not np.all(np.isfinite(array)):
                    raise ValueError(f"{name} is not finite")
        except UserError as error:
            raise self._no_best(error, loss) from error
        except (TypeError, ValueError) as error:
            problem = f"{path} is not a checkpoint of the best weights ({error})."
            raise self._no_best(problem, loss) from error
        return arrays, facts

    def check_last(self):
        """Raises `UserError` if training would replace weights because the last ones are lost.

        Also raises it if `metrics.csv` is damaged.
        """
        facts = self.read_config()[1] if self.check() else {}
        has_weights = len(self.read_metrics()) > 1 or self.results_file.exists()
        if (has_weights or "weights_from" in facts) and not self.last_checkpoint.exists():
            raise UserError(
                f"There is no checkpoint {self.last_checkpoint} to resume from, and training from "
                "the beginning would replace the best weights of the run. Restore the file from a "
                "copy, or choose another folder."
            )

    def check_best(self, step, loss):
        """Raises `UserError` unless a run that resumes has its best weights on disk.

        Args:
            step: The step of the last validation before the last checkpoint.
            loss: The best validation loss until then, or `None`.
        """
        if loss is None:
            return
        path = self._stashed_best if self._stashed_best.exists() else self.best_checkpoint
        facts = self.read_best(path, loss)[1]
        found = facts.get("validation") and EvaluationResult(**facts["validation"]).loss
        # A process that was killed may have saved better weights after the last checkpoint.
        if found != loss and facts["step"] <= step:
            raise self._no_best(f"{path} has weights that are not on record.", loss)

    def _no_best(self, problem, loss):
        """Returns the error about missing best weights, which says what is on record."""
        steps = {float(row["validation_loss"]): row["step"] for row in self.read_metrics()}
        loss = min(steps, default=None) if loss is None else loss
        if loss is not None:
            step = steps.get(loss, 0)  # 0: of the initial run
            problem = (
                f"{problem} On record: validation perplexity {perplexity(loss):.2f} at step {step}."
            )
        return UserError(
            f"{problem} Restore the file from a copy, train in another --workdir, or resume "
            "training with --forget_best, which starts a new best."
        )

    def stash_best(self):
        """Keeps the best weights of a logged validation before others replace them."""
        content = self.best_checkpoint.read_bytes()
        with atomic_write(self._stashed_best, "wb") as file:
            file.write(content)

    def restore_best(self):
        """Undoes `stash_best`, and removes checkpoints that a killed process left unfinished."""
        for path in self.path.glob(f"checkpoints/*/.*{PARTIAL}"):
            path.unlink()
        if self._stashed_best.exists():
            os.replace(self._stashed_best, self.best_checkpoint)
