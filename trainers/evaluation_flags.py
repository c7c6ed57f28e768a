"""The flags of `trainers.evaluate`, and the caches and dynamic evaluations that they describe."""

import itertools

from absl import flags

from awd_keras.data.corpus import SPLITS
from trainers.errors import UserError

# Flags defined here belong to the command that calls: its --help shows them.
flags.disclaim_key_flags()

# (window, theta, lambda) of the authors' README; the first stands for all other corpora too.
CACHES = {"ptb": (500, 1.0, 0.1), "wikitext2": (3785, 0.662, 0.1279)}
# What a flag that begins so says nothing without.
_NEEDS = {
    "cache_": ["cache"],
    "dyneval_": ["dyneval"],
    "search_": ["search"],
    "search_cache_": ["cache"],
    "search_dyneval_": ["dyneval"],
}
_CACHE_SETTINGS = {"window": int, "theta": float, "lambda": float}
_DYNEVAL_SETTINGS = {"learning_rate": float, "decay_rate": float}


def define():
    """Defines the flags."""
    flags.DEFINE_string("workdir", None, "run folder (required)")
    flags.DEFINE_enum("split", "test", SPLITS, "which text of the run's corpus to measure")
    flags.DEFINE_string("data_file", None, "a text file to measure instead, in UTF-8")
    flags.DEFINE_string("data_dir", None, "folder of the run's corpus, if it is elsewhere by now")
    flags.DEFINE_integer(
        "batch_size",
        None,
        "columns into which the text is cut; default: 1 for a file, with "
        "--cache, --dyneval and --per_token, otherwise that of the run",
    )
    flags.DEFINE_enum(
        "dtype", None, ["float32", "bfloat16"], "precision of the products; default: the run's"
    )
    flags.DEFINE_string(
        "per_token",
        None,
        "write a row for each word: itself, its log-probability, its rank. The "
        "first word of the text is only read, and has none",
    )
    flags.DEFINE_string(
        "output",
        None,
        "JSON to write; default: RUN/evaluation-<split>.json, with -cache, "
        "-dyneval and -search after the split where these are on; of a --data_file "
        "file-NAME-DIGEST in place of the split",
    )

    flags.DEFINE_bool("cache", False, "use the continuous cache (Grave et al. 2017)")
    flags.DEFINE_integer(
        "cache_window",
        None,
        "words it remembers; default: the authors', 500, or 3785 for "
        "wikitext2 (the authors' --window)",
    )
    flags.DEFINE_float(
        "cache_theta",
        None,
        "how much more similar states count; default: 1.0, or 0.662 for "
        "wikitext2 (the authors' --theta)",
    )
    flags.DEFINE_float(
        "cache_lambda",
        None,
        "its weight; default: 0.1, or 0.1279 for wikitext2 (the authors' --lambdasm)",
    )
    flags.DEFINE_bool("cache_only_full", False, "as the authors: not before its window is full")

    flags.DEFINE_bool("dyneval", False, "use dynamic evaluation (Krause et al. 2018)")
    flags.DEFINE_float("dyneval_learning_rate", 5e-5, "learning rate (its authors' --lr)")
    flags.DEFINE_float(
        "dyneval_decay_rate", 2e-3, "how fast weights return to the trained (its authors' --lamb)"
    )
    flags.DEFINE_float(
        "dyneval_epsilon",
        2e-5,
        "keeps weights with small gradients from large steps (its authors' --epsilon)",
    )
    flags.DEFINE_integer("dyneval_bptt", 5, "words between two updates (its authors' --bptt)")
    flags.DEFINE_integer(
        "dyneval_statistics_batch_size",
        100,
        "columns of the training text for the statistics of "
        "its gradients (its authors' --batch_size)",
    )
    flags.DEFINE_integer(
        "dyneval_statistics_windows",
        None,
        "windows of it to take; default: all (its authors' --max_batches)",
    )

    flags.DEFINE_bool(
        "search",
        False,
        "try a grid of settings on the validation text, and apply the best to the "
        "text. A setting given by its own flag is not searched",
    )
    flags.DEFINE_integer(
        "search_tokens", None, "of the validation text, take the first so many; default: all"
    )
    flags.DEFINE_list("search_cache_window", ["100", "500", "2000"], "windows to try")
    flags.DEFINE_list(
        "search_cache_theta", ["0.1", "0.3", "0.6", "1.0", "1.5", "2.5"], "thetas to try"
    )
    flags.DEFINE_list(
        "search_cache_lambda", ["0.03", "0.05", "0.1", "0.15", "0.2", "0.3"], "lambdas to try"
    )
    flags.DEFINE_list(
        "search_dyneval_learning_rate",
        ["2e-5", "5e-5", "1e-4", "2e-4"],
        "learning rates to try; each pair with a decay rate reads the text once",
    )
    flags.DEFINE_list("search_dyneval_decay_rate", ["1e-3", "3e-3"], "decay rates to try")


def check():
    """Refuses flags that do not go together.

    Raises:
        UserError: naming them.
    """
    values = flags.FLAGS
    if not values.workdir:
        raise UserError("--workdir is missing. Name the folder of a trained run.")
    for prefix, switches in _NEEDS.items():
        for name, switch in itertools.product(values, switches):
            if name.startswith(prefix) and values[name].present and not values[switch].value:
                raise UserError(f"--{name} says nothing without --{switch}. Add it.")
    if values.search and not (values.cache or values.dyneval):
        raise UserError("--search needs to know what for: add --cache, --dyneval or both.")
    if values.data_file and values["split"].present:
        raise UserError("--split and --data_file name two texts. Leave one of them out.")
    for name in (
        "batch_size",
        "search_tokens",
        "dyneval_statistics_batch_size",
        "dyneval_statistics_windows",
    ):
        value = values[name].value
        if value is not None and value < 1:
            raise UserError(f"{name} must be a positive integer. Received: {name}={value}")
    if values.per_token and values.batch_size not in (None, 1):
        raise UserError(
            "--per_token writes the words in the order of the text, which needs batch_size=1. "
            f"Received: batch_size={values.batch_size}"
        )


def batch_size(config):
    """The columns into which the text is cut.

    Args:
        config: `TrainingConfig` of the run.

    Returns:
        a positive integer.
    """
    values = flags.FLAGS
    if values.batch_size is not None:
        return values.batch_size
    if values.cache or values.dyneval or values.per_token or values.data_file:
        return 1
    return config.test_batch_size if values.split == "test" else config.validation_batch_size


def caches(config):
    """The caches to try, or the one to use.

    Args:
        config: `TrainingConfig` of the run.

    Returns:
        a list of `ContinuousCache`, or None for no cache; first None, then the grid for a search.

    Raises:
        UserError: for a setting out of its range.
    """
    from awd_keras.evaluation import ContinuousCache

    values = flags.FLAGS
    if not values.cache:
        return [None]
    defaults = dict(zip(_CACHE_SETTINGS, CACHES.get(config.corpus, CACHES["ptb"])))
    grid = _grid("cache", _CACHE_SETTINGS, defaults)
    try:
        found = [ContinuousCache(*settings, values.cache_only_full) for settings in grid]
    except ValueError as error:
        raise UserError(f"--cache: {error}") from None
    return [None, *found] if values.search else found


def dynamic_evaluations(model):
    """The dynamic evaluations to try, or the one to use. They share their statistics.

    Args:
        model: the model of the run.

    Returns:
        a list of `DynamicEvaluation`, or None for no dynamic evaluation; first None, then the grid
        for a search.

    Raises:
        UserError: for a setting out of its range.
    """
    from awd_keras.evaluation import DynamicEvaluation

    values = flags.FLAGS
    if not values.dyneval:
        return [None]
    defaults = {name: values[f"dyneval_{name}"].value for name in _DYNEVAL_SETTINGS}
    grid = _grid("dyneval", _DYNEVAL_SETTINGS, defaults)
    try:
        shared = DynamicEvaluation(model, epsilon=values.dyneval_epsilon, bptt=values.dyneval_bptt)
        found = [shared.replace(**dict(zip(_DYNEVAL_SETTINGS, settings))) for settings in grid]
    except ValueError as error:
        raise UserError(f"--dyneval: {error}") from None
    return [None, *found] if values.search else found


def _grid(prefix, settings, defaults):
    """All combinations of settings; those given by a flag of their own have one value."""
    values = flags.FLAGS
    choices = []
    for name, kind in settings.items():
        flag = values[f"{prefix}_{name}"]
        if flag.present:
            choices.append([flag.value])
        elif values.search:
            choices.append(_numbers(f"search_{prefix}_{name}", kind))
        else:
            choices.append([defaults[name]])
    return list(itertools.product(*choices))


def _numbers(name, kind):
    texts = flags.FLAGS[name].value
    try:
        found = [kind(text) for text in texts]
    except ValueError:
        found = []
    if not found:
        raise UserError(
            f"{name} must be {'integers' if kind is int else 'numbers'} with commas between them. "
            f"Received: {name}={','.join(texts)}"
        )
    return found
