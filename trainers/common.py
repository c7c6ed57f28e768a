"""What the training commands share: flags made from the settings, and one call."""

import contextlib
import dataclasses
import json
import os
import signal
import sys
import traceback
import types
import typing
import warnings

from absl import flags, logging

from awd_keras.errors import InputError
from trainers.old_cli import EXIT_BAD_INPUT, EXIT_INTERRUPTED
from trainers.config import TrainingConfig
from trainers.errors import NonFiniteLossError, UserError
from trainers.presets import PRESETS, RECIPES, preset
from trainers.start_up import EXIT_BROKEN_PIPE, run_command, start_tensorflow, written_out

# Flags defined here belong to the command that calls: its --help shows them.
flags.disclaim_key_flags()

EXIT_NOT_FINITE = 3
EXIT_WORKER_LOST = 4


def define_flags(default_preset):
    """Defines the flags of a training command, one for each setting among them.

    Args:
        default_preset: name of the preset that runs without `--preset`.
    """
    flags.DEFINE_string("workdir", None, "run folder; default: runs/<preset>, runs/<preset>-fast")
    flags.DEFINE_bool(
        "resume",
        True,
        "go on with the run in --workdir; with --noresume an existing run is an error",
    )
    define_settings(default_preset)


def define_settings(default_preset):
    """Defines `--preset`, `--recipe` and one flag for each setting.

    Args:
        default_preset: name of the preset that runs without `--preset`.
    """
    lines = "; ".join(f"{name}: {entry.description}" for name, entry in PRESETS.items())
    flags.DEFINE_enum("preset", default_preset, list(PRESETS), f"settings to start from. {lines}")
    lines = "; ".join(f"{name}: {entry.description}" for name, entry in RECIPES.items())
    flags.DEFINE_enum("recipe", "paper", list(RECIPES), f"changes to the preset. {lines}")
    defaults = preset(default_preset).config
    for field in dataclasses.fields(TrainingConfig):
        define_setting(field, getattr(defaults, field.name))


def define_setting(field, default):
    """Defines the flag of a setting.

    Args:
        field: the field of `TrainingConfig`.
        default: its value without the flag; None to leave it out of --help.
    """
    reference = field.metadata["reference"]
    text = f"[{field.metadata['section']}] {field.metadata['help']}"
    if reference:
        text += f" (the authors' --{reference})"
    kind = field.type
    if isinstance(kind, types.UnionType):
        kind = next(option for option in typing.get_args(kind) if option is not type(None))
    if field.metadata["choices"]:
        flags.DEFINE_enum(field.name, default, field.metadata["choices"], text)
    elif typing.get_origin(kind) is tuple:
        default = None if default is None else [str(value) for value in default]
        flags.DEFINE_list(field.name, default, text)
    else:
        define = {
            bool: flags.DEFINE_bool,
            int: flags.DEFINE_integer,
            float: flags.DEFINE_float,
            str: flags.DEFINE_string,
        }[kind]
        define(field.name, default, text)


def config_from_flags():
    """The settings: those of the preset, changed by the recipe, then by the flags that were given.

    Returns:
        `TrainingConfig`.

    Raises:
        UserError: if they do not hold.
    """
    changes = {**RECIPES[flags.FLAGS.recipe].changes, **given_settings()}
    return preset(flags.FLAGS.preset).config.replace(**changes)


def default_workdir():
    """The run folder where none is named: after the preset and the recipe."""
    recipe = flags.FLAGS.recipe
    return os.path.join("runs", flags.FLAGS.preset + ("" if recipe == "paper" else f"-{recipe}"))


def given_settings():
    """The settings whose flags were given.

    Returns:
        a dictionary of name to value.

    Raises:
        UserError: if one cannot be read.
    """
    values = flags.FLAGS
    given = {}
    for field in dataclasses.fields(TrainingConfig):
        if field.name in values and values[field.name].present:
            given[field.name] = getattr(values, field.name)
    if "learning_rate_drop_epochs" in given:
        try:
            given["learning_rate_drop_epochs"] = tuple(
                int(epoch) for epoch in given["learning_rate_drop_epochs"]
            )
        except ValueError:
            raise UserError(
                "learning_rate_drop_epochs must be numbers with commas between them. Received: "
                f"{','.join(given['learning_rate_drop_epochs'])}"
            ) from None
    return given


def resolve_dtype(dtype, recorded):
    """What `--dtype` means for a folder: with auto, what exists goes on as it began.

    Args:
        dtype: "auto", "float32" or "bfloat16".
        recorded: None for a new folder, or the dtype that it has on record.

    Returns:
        `(dtype, reason)`, as `factory.resolve_dtype`.
    """
    from trainers.training import factory

    if dtype == "auto" and recorded in ("float32", "bfloat16"):
        return recorded, "as the run began"
    return factory.resolve_dtype(dtype)


def recorded_setting(path, name):
    """A setting in the JSON file of a search or an ablation; None without it.

    What is wrong with a damaged file, those say who read all of it.
    """
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file).get(name)
    except (OSError, ValueError, AttributeError):
        return None


def run(default_preset):
    """Parses the command line, trains, prints the results and exits.

    Args:
        default_preset: name of the preset that runs without `--preset`.
    """
    define_flags(default_preset)
    flags.DEFINE_enum(
        "strategy",
        "one",
        ["one", "mirrored", "multi_worker"],
        "devices: one, all GPUs of this machine, or those of the machines in TF_CONFIG; they take "
        "the columns of the batch in equal parts, and any number goes on with a run of another",
    )
    run_command(_main)


def _main(argv):
    if len(argv) > 1:
        return _bad_input(f"expected flags only. Received: {' '.join(argv[1:])}. See --help.")
    if not flags.FLAGS["verbosity"].present:
        logging.set_verbosity(logging.ERROR)  # of libraries; what we have to say we print
    warnings.showwarning = lambda message, *_: print(f"warning: {message}", file=sys.stderr)
    try:
        config = config_from_flags()
        workdir = flags.FLAGS.workdir or default_workdir()
        return train(config, workdir, flags.FLAGS.resume, flags.FLAGS.strategy)
    except UserError as error:
        return _bad_input(error)
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED


def _bad_input(error):
    print(f"error: {error}", file=sys.stderr)
    return EXIT_BAD_INPUT


def train(config, workdir, may_resume, strategy="one"):
    """Trains, or goes on with a run, and prints its results.

    Args:
        config: `TrainingConfig`.
        workdir: the run folder.
        may_resume: whether there may be a run in it already.
        strategy: on which devices, see `training.strategy.make_strategy`.

    Returns:
        the exit code.
    """
    if strategy == "multi_worker":
        return _train_together(config, workdir, may_resume)

    def make():
        from trainers.training.strategy import make_strategy

        return make_strategy(strategy)

    made = start_tensorflow(make if strategy != "one" else None)
    with contextlib.nullcontext() if made is None else made.scope():
        return _train(config, workdir, may_resume)


def _train_together(config, workdir, may_resume):
    """One of several processes; it ends as soon as another has."""
    # The first Ctrl-C is `Interruption`'s, once training has begun. Any other acts at once, also
    # where TensorFlow waits for another process and Python's own handler would never run.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    code, name = EXIT_BAD_INPUT, "this worker"

    def make():
        from trainers.training.strategy import check_cluster, make_strategy

        check_cluster(os.environ.get("TF_CONFIG"))
        print("waiting for the workers of TF_CONFIG ...", flush=True)
        return make_strategy("multi_worker")

    try:
        strategy = start_tensorflow(make)
        from trainers.training.workers import Workers

        workers = Workers(strategy)
        name = f"worker {workers.index} of {workers.num_workers}"
        print(f"{name}: {'writes the run folder' if workers.is_chief else 'follows'}", flush=True)
        with contextlib.ExitStack() as stack:
            if not workers.is_chief:
                quiet = stack.enter_context(open(os.devnull, "w", encoding="utf-8"))
                stack.enter_context(contextlib.redirect_stdout(quiet))
            folder = stack.enter_context(workers.run_folder(workdir))
            stack.enter_context(strategy.scope())
            code = _train(config, folder, may_resume, workers)
            if code in (0, EXIT_INTERRUPTED):
                with contextlib.suppress(*_lost_errors()):
                    workers.any(False)  # nobody leaves while another still needs it
    except UserError as error:
        _bad_input(error)
    except BrokenPipeError:
        code = EXIT_BROKEN_PIPE
    except OSError as error:
        _bad_input(f"{workdir}: {error}")
    except Exception as error:
        if not isinstance(error, _lost_errors()):
            traceback.print_exc()
        else:
            lines = [line for line in str(error).splitlines() if line.strip()]
            said = [line for line in lines if not line.startswith(("Graph exec", "Detected at"))]
            print(
                f"error: {name} stopped, since another is gone or cannot be reached: "
                f"{' '.join(said[:1])[:300]} Start all of them again with the same command: they "
                "go on from the last checkpoint.",
                file=sys.stderr,
            )
            code = EXIT_WORKER_LOST
    # TensorFlow waits at its end for workers that may not come.
    os._exit(written_out(code))


def _lost_errors():
    """What TensorFlow raises where another process does not answer."""
    from tensorflow import errors

    return (
        errors.AbortedError,
        errors.CancelledError,
        errors.DeadlineExceededError,
        errors.FailedPreconditionError,
        errors.InternalError,
        errors.UnavailableError,
        errors.UnknownError,
    )


def _check_agreement(config, corpus, workers):
    """Refuses workers that were started with other settings than the chief, or another text."""
    free = {field.name for field in dataclasses.fields(config) if field.metadata["may_change"]}
    settings = {name: value for name, value in config.to_dict().items() if name not in free}
    settings["epochs"] = config.epochs
    mine = json.dumps([settings, corpus.digest], sort_keys=True).encode()
    if workers.any(workers.bytes_of_chief(mine) != mine):
        raise UserError(
            "The workers have not all the same settings and the same texts. Start each with the "
            "chief's command, on a copy of its text."
        )


def _train(config, workdir, may_resume, workers=None):
    # Imported here, so that --help and a wrong flag never wait for TensorFlow.
    from awd_keras.data import load_corpus
    from trainers.training import RunFolder, factory, train_and_evaluate
    from trainers.training.progress import Progress

    try:
        folder = RunFolder(workdir)
        recorded = folder.read_config()[0].dtype if folder.check() else None
        dtype, why = resolve_dtype(config.dtype, recorded)
        if workers is not None:
            dtype = workers.bytes_of_chief(dtype.encode()).decode()
            if config.initial_run is not None and workers.num_workers > 1:
                raise UserError(
                    "initial_run is for one machine: --strategy=one or mirrored. Received: "
                    f"strategy=multi_worker, initial_run={config.initial_run}"
                )
        config = config.replace(dtype=dtype)
        if config.initial_run is not None:
            # On record in a form that means the same in another current directory.
            config = config.replace(initial_run=os.path.abspath(config.initial_run))
        exists = folder.check(config)
        if exists and not may_resume:
            raise UserError(
                f"{workdir} holds a run already. Leave --noresume out to continue it, or choose "
                "another folder by --workdir."
            )
        done = folder.read_results() if exists else None
        if (
            done
            and done["reason"] == "finished"
            and (done["epochs"] >= config.epochs or done.get("stopped_at_step") is not None)
        ):
            print(f"the run in {workdir} is finished ({done['epochs']} epochs)")
            _print_results(done, Progress())
            return 0
        corpus = load_corpus(
            config.corpus, config.data_dir, config.max_vocabulary_size, config.max_train_tokens
        )
        if workers is not None:
            _check_agreement(config, corpus, workers)
        model = factory.build_model(config, len(corpus.vocabulary))
        optimizer = factory.build_optimizer(config, model)
        header = [
            f"run folder: {workdir}",
            f"corpus: {corpus.describe()}",
            f"model: {model.count_params():,} parameters, {dtype} products ({why})",
        ]
        baseline = _baseline(corpus)
        picture = None
        if baseline:
            header.append(
                f"baseline: Kneser-Ney trigram, {baseline['test']} on the test text, "
                f"{baseline['validation']} on the validation text"
            )
            picture = ("Kneser-Ney trigram, validation", baseline["validation"])
        result = train_and_evaluate(
            model, optimizer, corpus, config, folder, picture, header=header
        )
        _print_results(result.to_dict(), Progress(folder.log_file))
    except (UserError, InputError) as error:
        return _bad_input(error)
    except BrokenPipeError:
        raise  # `run_command` ends it
    except OSError as error:
        where = f": {error.filename}" if error.filename else ""
        return _bad_input(f"{error.strerror or error}{where}. What was there before remains.")
    except NonFiniteLossError as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_NOT_FINITE
    return EXIT_INTERRUPTED if result.reason == "interrupted" else 0


def _baseline(corpus):
    """Perplexities of a model to compare with, by split, where they were measured."""
    from awd_keras.data import KNESER_NEY_TRIGRAM
    from awd_keras.data.sotu import NAME

    if corpus.name == NAME and len(corpus.vocabulary) == 10_000:
        return KNESER_NEY_TRIGRAM
    return None


def _print_results(results, progress):
    for text in ("validation", "test"):
        progress.line(f"{text} perplexity: {results[text]['perplexity']:.2f}")
