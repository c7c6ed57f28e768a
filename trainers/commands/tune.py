"""Searches for good settings."""

import contextlib
import csv
import io
import os
import warnings

import grpc
import keras_tuner
from absl import flags

from trainers import config_flags
from trainers.errors import UserError
from trainers.search.spaces import expand
from trainers.search.tuner import RunFolderTuner, format_value, make_oracle, trial_results
from trainers.table import format_table
from trainers.training import RecordedFolder, factory
from trainers.training.records import reading

FLAGS = flags.FLAGS
_ENVIRONMENT = ("KERASTUNER_TUNER_ID", "KERASTUNER_ORACLE_IP", "KERASTUNER_ORACLE_PORT")
_OPTIONS = ("tuner", "search_seed", "max_trials", "hyperband_factor", "hyperband_iterations")
_NUM_SHOWN = 10


def main():
    missing = [name for name in _ENVIRONMENT if not os.environ.get(name)]
    if 0 < len(missing) < len(_ENVIRONMENT):
        raise UserError(
            f"Parallel trials require {', '.join(_ENVIRONMENT)}. Missing: {', '.join(missing)}"
        )
    is_worker = not missing and "chief" not in os.environ[_ENVIRONMENT[0]]
    tune = expand(FLAGS.tune)
    workdir = os.path.normpath(FLAGS.workdir or config_flags.default_workdir() + "-tune")
    config = config_flags.config_from_flags()
    options = {name: FLAGS[name].value for name in _OPTIONS}
    options |= {"tune": list(tune), "epochs": config.epochs}
    folder = RecordedFolder(workdir, "search", may_change=["max_trials"])
    recorded = folder.read_config()[0] if folder.check() else None
    config, _ = factory.resolve_automatic(config, recorded)
    folder.check(config, options, resume=FLAGS.resume or is_worker)
    try:
        oracle = make_oracle(
            FLAGS.tuner,
            config,
            tune,
            seed=FLAGS.search_seed,
            max_trials=FLAGS.max_trials,
            factor=FLAGS.hyperband_factor,
            iterations=FLAGS.hyperband_iterations,
        )
    except ImportError as error:
        raise UserError(f"--tuner={FLAGS.tuner} needs more packages: {error}") from None
    oracle.verbose = 0
    corpus = factory.build_corpus(config)
    # KerasTuner warns about failed trials, scikit-learn about the fit of its Gaussian process.
    warnings.filterwarnings("ignore", module="sklearn|keras_tuner")
    with contextlib.nullcontext() if is_worker else folder.lock():
        if not is_worker:
            folder.begin(config, corpus, options)
            warnings.filterwarnings("ignore", "cannot lock")  # the folder of each trial too
        print(f"folder: {workdir}\ncorpus: {corpus.describe()}", flush=True)

        def on_trial_end():
            if not is_worker:
                best = _write_results(folder, config, oracle)[0]
                name = "none" if best["validation_perplexity"] is None else f"trial {best['trial']}"
                print(f"{len(oracle.end_order)} trials ended, best so far: {name}")

        what, advice = f"KerasTuner's files in {workdir}", "Restore them, or choose another folder."
        with reading(what, advice), contextlib.redirect_stdout(io.StringIO()):  # KerasTuner prints
            tuner = RunFolderTuner(oracle, config, workdir, on_trial_end)
            missing = {*oracle.end_order} - {*oracle.trials}
            if missing:
                raise ValueError(f"without trial {', '.join(sorted(missing))}")
            trial_results(oracle, config.epochs)
        try:
            tuner.search(corpus)
        except KeyboardInterrupt:
            print("interrupted; run the same command again to resume")
            raise
        except grpc.RpcError as error:
            raise UserError(
                f"The chief does not respond ({error.code().name}). Restart it, and then this "
                "worker with the same ID, to resume."
            ) from error
        except RuntimeError as error:
            if "Failed to bind" not in str(error):
                raise
            raise UserError(f"The chief cannot listen: {error}") from error
        except keras_tuner.errors.FatalError as error:
            raise (error.__cause__ or error) from None
        if is_worker:
            print("this worker is done; the chief has the results")
            return
        results = _write_results(folder, config, oracle)
    if results[0]["validation_perplexity"] is None:
        raise UserError("Every trial failed. Try a smaller learning rate.")
    rows = [list(map(format_value, result.values())) for result in results[:_NUM_SHOWN]]
    print(f"\n{format_table([list(results[0]), *rows])}")
    print(f"in {workdir}: trials.csv, best.flags")
    print(f"validation perplexity: {results[0]['validation_perplexity']:.2f}")


def _write_results(folder, config, oracle):
    """Writes trials.csv and best.flags, and returns the results."""
    results = trial_results(oracle, config.epochs)
    text = io.StringIO()
    writer = csv.DictWriter(text, results[0], lineterminator="\n")
    writer.writeheader()
    writer.writerows(results)
    folder.write("trials.csv", text.getvalue())
    best = results[0]
    if best["validation_perplexity"] is not None:
        settings = {name: best[name] for name in (*expand(FLAGS.tune), "epochs")}
        config = config.replace(**settings, schedule_epochs=config.schedule_length)
        lines = [f"# trial {best['trial']}", *config_flags.flags_of(config)]
        folder.write("best.flags", "\n".join(lines) + "\n")
    return results
