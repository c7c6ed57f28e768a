r"""Searches for settings with KerasTuner.

  python -m trainers.tune --preset=demo --epochs=1                    20 random trials
  python -m trainers.tune --data_dir=FOLDER --preset=ptb_small --tuner=bayesian --max_trials=30 \
      --tune=dropouts,learning_rate,weight_decay
  python -m trainers.tune --preset=demo --tuner=hyperband --epochs=9

What is minimized is the validation perplexity of the best weights, averaged where averaging had
begun. --tune names settings, or groups of them: dropouts, regularization, optimization, sizes, all.
The first trial of a random and of a bayesian search has the settings that it starts from. Hyperband
trains many for few epochs; the best go on from their checkpoints, up to --epochs. A trial that
diverges has failed, and the search goes on.

Each trial is a run folder, trial_ID/run. --workdir holds what was found: trials.csv, best.flags
(python -m trainers.ptb --flagfile=best.flags), search.png (what mattered), and HParams for
tensorboard --logdir. The same command again goes on where it was, inside a trial too; --max_trials
may be larger then.

Several workers: the same command, with the same --workdir on one file system, once as chief and as
often as there are workers, each with
  KERASTUNER_ORACLE_IP=127.0.0.1 KERASTUNER_ORACLE_PORT=8000 KERASTUNER_TUNER_ID=chief
and KERASTUNER_TUNER_ID=tuner0, tuner1, ... A worker that was stopped goes on with its own id. One
that is started first waits for the chief, for an hour at most.
"""

import contextlib
import importlib.util
import io
import json
import os
import socket
import time

from absl import flags

from trainers import command, common, recorded_text
from trainers.config import TrainingConfig
from trainers.errors import UserError
from trainers.presets import preset
from trainers.record import read_record
from trainers.table import format_table

FLAGS = flags.FLAGS
_TUNERS = ("random", "bayesian", "hyperband")
_BAYESIAN = ("sklearn", "scipy")
_SHOWN_TRIALS = 10
# What a search that goes on may change besides the settings that any run may.
_MAY_CHANGE = {"max_trials"}
_ENVIRONMENT = ("KERASTUNER_TUNER_ID", "KERASTUNER_ORACLE_IP", "KERASTUNER_ORACLE_PORT")
# How long a worker waits for its chief: as long as KerasTuner waits for an answer.
_WAIT_SECONDS = 3600.0


def main():
    common.define_flags("ptb")
    FLAGS["workdir"].help = "folder of the search; default: runs/<preset>-tune"
    flags.DEFINE_list(
        "tune",
        ["dropout_multiplier", "learning_rate", "weight_decay", "ar_alpha", "tar_beta"],
        "settings, or groups of them",
    )
    flags.DEFINE_enum("tuner", "random", _TUNERS, "how to search")
    flags.DEFINE_integer("max_trials", 20, "trials of random and bayesian", lower_bound=1)
    flags.DEFINE_integer(
        "hyperband_factor",
        3,
        "hyperband: one trial in so many goes on, for so many times the epochs",
        lower_bound=2,
    )
    flags.DEFINE_integer("hyperband_iterations", 1, "how often to do hyperband", lower_bound=1)
    flags.DEFINE_integer("search_seed", 1, "of what is tried", lower_bound=1)
    command.main(_tune)


def _tune():
    from awd_keras.data import load_corpus
    from trainers.search import TrialError, expand
    from trainers.training.folder_lock import folder_lock

    role = _role()
    _check_address(role)
    tune = expand(FLAGS.tune)
    config = common.config_from_flags()
    workdir = os.path.normpath(FLAGS.workdir or common.default_workdir() + "-tune")
    recorded = common.recorded_setting(os.path.join(workdir, "search.json"), "dtype")
    config = config.replace(dtype=common.resolve_dtype(config.dtype, recorded)[0])
    if not FLAGS["test_batch_size"].present:
        # What a trial says of the test text decides nothing; at batch size 1 it takes minutes.
        config = config.replace(test_batch_size=config.validation_batch_size)
    _check_search(config, tune)
    exists = _check_folder(workdir, config, tune)
    if role == "worker":
        if not exists:
            _wait_for_file(os.path.join(workdir, "search.json"))
            _check_folder(workdir, config, tune)
    elif exists and not FLAGS.resume:
        raise UserError(
            f"{workdir} holds a search already. Leave --noresume out to go on with it, or choose "
            "another folder by --workdir."
        )
    corpus = load_corpus(
        config.corpus, config.data_dir, config.max_vocabulary_size, config.max_train_tokens
    )
    text = recorded_text.text_facts(corpus)
    recorded_text.check_same_text(workdir, _read_settings(workdir), text, corpus.source)
    with contextlib.ExitStack() as stack:
        if role != "worker":
            stack.enter_context(folder_lock(workdir))
            _write_settings(workdir, config, tune, text)
        print(f"folder: {workdir}")
        print(f"corpus: {corpus.describe()}")
        watch = _Watch(config, workdir, role)
        tuner = _make_tuner(config, len(corpus.vocabulary), tune, workdir, watch)
        watch.start(tuner)
        if role == "worker" and not _answers():
            print(f"waiting for the chief at {_address()} ...", flush=True)
        try:
            tuner.search(corpus)
        except KeyboardInterrupt:
            print("interrupted; the same command goes on from here")
            return common.EXIT_INTERRUPTED
        except TrialError as error:
            raise error.__cause__ from None
        if role == "worker":
            print("this worker is done; what was found is with the chief")
            return 0
        return watch.report()


def _role():
    """Which process this is, by KerasTuner's environment variables: alone, chief or worker."""
    missing = [name for name in _ENVIRONMENT if not os.environ.get(name)]
    if len(missing) == len(_ENVIRONMENT):
        return "alone"
    if missing:
        raise UserError(
            f"Several workers need {', '.join(_ENVIRONMENT)}, all three. Missing: "
            f"{', '.join(missing)}"
        )
    return "chief" if "chief" in os.environ[_ENVIRONMENT[0]] else "worker"


def _address():
    return ":".join(os.environ[name] for name in _ENVIRONMENT[1:])


def _host_and_port():
    host, port = (os.environ[name] for name in _ENVIRONMENT[1:])
    return host.strip("[]"), int(port)


def _check_address(role):
    """Finds out before anything is loaded whether a chief can listen where it is told to."""
    if role == "alone":
        return
    port = os.environ[_ENVIRONMENT[2]]
    if not (port.isascii() and port.isdecimal() and 1 <= int(port) <= 65535):
        raise UserError(f"{_ENVIRONMENT[2]} must be a port, from 1 to 65535. Received: {port!r}")
    if role == "chief":
        host, port = _host_and_port()
        try:
            family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
            socket.create_server((host, port), family=family).close()
        except OSError as error:
            raise UserError(
                f"The chief cannot listen on {_address()} ({error.strerror or error}). Give this "
                f"machine's address by {_ENVIRONMENT[1]} and a free port by {_ENVIRONMENT[2]}, to "
                "the chief and to its workers."
            ) from None


def _answers():
    """Whether anything listens where the chief is to be."""
    try:
        socket.create_connection(_host_and_port(), 1.0).close()
    except OSError:
        return False
    return True


def _wait_for_file(path):
    """Waits for the settings of the search, which the chief writes when it begins."""
    print(f"waiting for the chief at {_address()}, which writes {path} ...", flush=True)
    end = time.monotonic() + _WAIT_SECONDS
    while not os.path.exists(path):
        if time.monotonic() >= end:
            raise UserError(
                f"The chief at {_address()} has not written {path}. Start it with the same "
                "--workdir, on a file system that both see."
            )
        time.sleep(0.5)


def _check_search(config, tune):
    """Finds out before there is a folder whether there can be a search."""
    from trainers.search import SPACES

    for name in tune:
        SPACES[name](config).check(name, getattr(config, name))
    if FLAGS.tuner == "bayesian" and not all(map(importlib.util.find_spec, _BAYESIAN)):
        raise UserError(
            "--tuner=bayesian needs scikit-learn and SciPy: pip install '.[tune]' in a clone of "
            "the repository. --tuner=random and --tuner=hyperband do without."
        )


def _settings(config, tune):
    settings = {**config.to_dict(), "tune": list(tune), "tuner": FLAGS.tuner}
    names = ["search_seed", "max_trials"]
    if FLAGS.tuner == "hyperband":
        names = ["search_seed", "hyperband_factor", "hyperband_iterations"]
    return {**settings, **{name: FLAGS[name].value for name in names}}


def _check_folder(workdir, config, tune):
    """Says whether the folder holds this search; an error if it holds anything else."""
    recorded = _read_settings(workdir)
    if not recorded:
        if os.path.isfile(workdir):
            raise UserError(f"{workdir} is a file. Choose another folder by --workdir.")
        if os.path.isdir(workdir) and set(os.listdir(workdir)) - {"lock", "search.json.partial"}:
            raise UserError(
                f"{workdir} is not empty and holds no search.json, so it is not a search's. "
                "Choose another folder by --workdir; nothing was changed."
            )
        return False
    # Settings that came later have their defaults.
    recorded = {**TrainingConfig().to_dict(), **recorded}
    fields = TrainingConfig.__dataclass_fields__
    may_change = {name for name in fields if fields[name].metadata["may_change"]} - {"epochs"}
    differences = [
        f"{name}: {recorded.get(name)} -> {value}"
        for name, value in _settings(config, tune).items()
        if name not in may_change | _MAY_CHANGE and recorded.get(name) != value
    ]
    if differences:
        raise UserError(
            f"{workdir} holds another search ({'; '.join(differences)}). Go on with its own "
            "settings, or choose another folder by --workdir."
        )
    return True


def _read_settings(workdir):
    """What search.json has; empty without one."""
    return read_record(os.path.join(workdir, "search.json"))


def _write_settings(workdir, config, tune, text):
    from trainers.training.run_folder import write_beside

    content = json.dumps({**_settings(config, tune), **text}, indent=2) + "\n"
    write_beside(os.path.join(workdir, "search.json"), content)


def _make_tuner(config, vocabulary_size, tune, workdir, watch):
    from trainers import search as tuning

    hypermodel = tuning.AWDLSTMHyperModel(config, vocabulary_size, tune)
    arguments = {
        "seed": FLAGS.search_seed,
        "on_trial_begin": watch.on_trial_begin,
        "on_trial_end": watch.on_trial_end,
    }
    if FLAGS.tuner == "hyperband":
        kind = tuning.Hyperband
        arguments.update(factor=FLAGS.hyperband_factor, iterations=FLAGS.hyperband_iterations)
    else:
        kind = {"random": tuning.RandomSearch, "bayesian": tuning.BayesianOptimization}[FLAGS.tuner]
        arguments.update(max_trials=FLAGS.max_trials)
    with contextlib.redirect_stdout(io.StringIO()):  # KerasTuner tells of its files
        return kind(hypermodel, workdir, **arguments)


class _Watch:
    """Says where the search is, and keeps its results on disk after each trial."""

    def __init__(self, config, workdir, role):
        self.config, self.workdir, self.role = config, workdir, role
        self.started = time.monotonic()

    def start(self, tuner):
        self.tuner = tuner
        if self.role == "worker":
            return
        self.done_before = self._count()
        if self.done_before:
            print(f"continuing after {self.done_before} of {tuner.oracle.num_trials} trials")
        tuner.oracle.on_trial_end = self.on_end

    def _count(self):
        return sum(
            trial.status in ("COMPLETED", "FAILED") for trial in self.tuner.oracle.trials.values()
        )

    def on_trial_begin(self, trial):
        from trainers.search.results import short

        values = trial.hyperparameters.values
        settings = ", ".join(
            f"{name}={short(value)}" for name, value in values.items() if "/" not in name
        )
        epochs = values.get("tuner/epochs")
        going_on = values.get("tuner/trial_id")
        more = f", to epoch {epochs}" if epochs else ""
        more += f", from trial {going_on}" if going_on else ""
        print(f"--- trial {trial.trial_id}{more}: {settings}", flush=True)

    def on_trial_end(self, trial):
        """Called where the trial was made."""
        from trainers.search import TrialResult, write_hparams

        if trial.status != "COMPLETED":
            print(f"trial {trial.trial_id} failed: {trial.message or trial.status}")
        if self.config.tensorboard:
            # As the oracle has it now, with its score.
            recorded = self.tuner.oracle.get_trial(trial.trial_id)
            result = TrialResult.of(recorded, self.config.epochs)
            write_hparams(self.tuner.run_folder(trial.trial_id) / "events", result)

    def on_end(self, trial):
        """Called where the oracle is: in the chief, if there is one."""
        from trainers.training.progress import duration

        self._write()
        done, oracle = self._count(), self.tuner.oracle
        best = self.results()[0]
        text = f"{done} of {oracle.num_trials} trials done"
        if best.perplexity is not None:
            text += f", best so far {best.perplexity:.2f} (trial {best.trial_id})"
        seconds = (time.monotonic() - self.started) / max(done - self.done_before, 1)
        left = max(oracle.num_trials - done, 0) * seconds
        print(f"{text}, about {duration(left)} left", flush=True)

    def results(self):
        from trainers.search import trial_results

        return trial_results(self.tuner.oracle, self.config.epochs)

    def _write(self):
        from trainers.search import draw_search, trials_csv
        from trainers.training.run_folder import write_beside

        results = self.results()
        write_beside(os.path.join(self.workdir, "trials.csv"), trials_csv(results))
        if results and results[0].perplexity is not None:
            write_beside(os.path.join(self.workdir, "best.flags"), self._flags(results[0]))
        return draw_search(os.path.join(self.workdir, "search.png"), results, self.config)

    def _flags(self, best):
        from trainers.search import flags_of

        start = preset(FLAGS.preset).config
        config = self.config.replace(**best.settings, epochs=best.epochs)
        if not FLAGS["test_batch_size"].present:
            config = config.replace(test_batch_size=start.test_batch_size)
        if FLAGS.tuner == "hyperband" and config.schedule_length is not None:
            config = config.replace(schedule_epochs=self.config.schedule_length)
        comments = (
            f"trial {best.trial_id} of a search: validation perplexity {best.perplexity:.2f}",
            "python -m trainers.ptb --flagfile=best.flags --workdir=FOLDER",
        )
        return flags_of(config, FLAGS.preset, start, comments)

    def report(self):
        from trainers.search import importance, trials_table

        is_drawn = self._write()
        results = self.results()
        print()
        print(format_table(trials_table(results, _SHOWN_TRIALS)))
        shares = importance(results)
        if shares:
            print("what mattered: " + ", ".join(f"{n} {s:.0%}" for n, s in shares.items()))
        files = ["trials.csv"]
        if not results or results[0].perplexity is None:
            raise UserError(
                "Every trial failed; there is nothing to choose from. Try a smaller learning rate."
            )
        files += ["best.flags", *["search.png"] * is_drawn]
        print(f"in {self.workdir}: {', '.join(files)}")
        print(f"validation perplexity: {results[0].perplexity:.2f}")
        return 0


if __name__ == "__main__":
    main()
