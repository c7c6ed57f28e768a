"""The work of `trainers.tune`."""

import contextlib
import io
import os
import warnings

import grpc
import keras_tuner
from absl import flags

from awd_keras.data import load_corpus
from trainers import config_flags
from trainers.errors import UserError
from trainers.search.flags_of import flags_of
from trainers.search.results import trial_results, trials_csv, trials_table
from trainers.search.spaces import expand
from trainers.search.tuner import RunFolderTuner, make_oracle
from trainers.table import format_table
from trainers.training import RecordedFolder, factory
from trainers.training.run_folder import write_text

FLAGS = flags.FLAGS
_ENVIRONMENT = ("KERASTUNER_TUNER_ID", "KERASTUNER_ORACLE_IP", "KERASTUNER_ORACLE_PORT")
_OPTIONS = ("tuner", "search_seed", "max_trials", "hyperband_factor", "hyperband_iterations")
_NUM_SHOWN = 10


def main():
    """Searches, or resumes a search, and prints the best trials."""
    missing = [name for name in _ENVIRONMENT if not os.environ.get(name)]
    if 0 < len(missing) < len(_ENVIRONMENT):
        raise UserError(
            f"Parallel trials need {', '.join(_ENVIRONMENT)}. Missing: {', '.join(missing)}"
        )
    is_worker = not missing and "chief" not in os.environ[_ENVIRONMENT[0]]
    tune = expand(FLAGS.tune)
    workdir = os.path.normpath(FLAGS.workdir or config_flags.default_workdir() + "-tune")
    config = config_flags.config_from_flags()
    options = {name: FLAGS[name].value for name in _OPTIONS}
    options |= {"tune": list(tune), "epochs": config.epochs}
    folder = RecordedFolder(workdir, "search", may_change=["max_trials"])
    recorded_dtype = folder.read_config()[0].dtype if folder.check() else None
    config = config.replace(dtype=factory.resolve_dtype(config.dtype, recorded_dtype)[0])
    if folder.check(config, options) and not (FLAGS.resume or is_worker):
        raise UserError(
            f"{workdir} already contains a search. Omit --noresume to resume it, or choose another "
            "folder by --workdir."
        )
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
    corpus = load_corpus(
        config.corpus, config.data_dir, config.max_vocabulary_size, config.max_train_tokens
    )
    # KerasTuner warns of failed trials, scikit-learn of the fit of its Gaussian process.
    warnings.filterwarnings("ignore", module="sklearn|keras_tuner")
    with contextlib.nullcontext() if is_worker else folder.lock():
        if not is_worker:
            folder.begin(config, corpus, options)
        print(f"folder: {workdir}\ncorpus: {corpus.describe()}", flush=True)

        def on_trial_end():
            if not is_worker:
                best = _write_results(workdir, config, oracle)[0]
                print(f"{len(oracle.end_order)} trials ended, best so far: trial {best['trial']}")

        with contextlib.redirect_stdout(io.StringIO()):  # KerasTuner prints the names of its files
            tuner = RunFolderTuner(oracle, config, workdir, on_trial_end)
        try:
            tuner.search(corpus)
        except KeyboardInterrupt:
            print("interrupted; run the same command again to resume")
            raise
        except grpc.RpcError as error:
            raise UserError(
                f"The chief does not answer ({error.code().name}). Restart it, and then this "
                "worker with the same ID, to resume."
            ) from error
        except keras_tuner.errors.FatalError as error:
            raise (error.__cause__ or error) from None
        if is_worker:
            print("this worker is done; the chief has the results")
            return
        results = _write_results(workdir, config, oracle)
    if results[0]["validation_perplexity"] is None:
        raise UserError("Every trial failed. Try a smaller learning rate.")
    print(f"\n{format_table(trials_table(results[:_NUM_SHOWN]))}")
    print(f"in {workdir}: trials.csv, best.flags")
    print(f"validation perplexity: {results[0]['validation_perplexity']:.2f}")


def _write_results(workdir, config, oracle):
    """Writes trials.csv and best.flags. Returns the results."""
    results = trial_results(oracle, config.epochs)
    write_text(os.path.join(workdir, "trials.csv"), trials_csv(results))
    best = results[0]
    if best["validation_perplexity"] is not None:
        settings = {name: best[name] for name in (*expand(FLAGS.tune), "epochs")}
        lines = [
            f"# trial {best['trial']}: validation perplexity {best['validation_perplexity']:.2f}",
            *flags_of(config.replace(**settings, schedule_epochs=config.schedule_length)),
        ]
        write_text(os.path.join(workdir, "best.flags"), "\n".join(lines) + "\n")
    return results
