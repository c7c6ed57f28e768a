"""Writes a trained run as a SavedModel that TensorFlow Serving deploys.

  python -m serving.export --workdir=runs/ptb --output=exported
  python -m serving.export --workdir=runs/ptb --output=exported --weights=int8
  python -m serving.export --output=exported        # the small model that comes with the package
  python -m serving.export --workdir=runs/ptb --compare

The first writes exported/ptb/1, or the next version if there are others: the run's best weights
(averaged, where averaging had begun), its vocabulary, the signatures score, score_tokens,
next_word, step and generate, and requests to warm a server up. Run and older versions stay as they
are. --weights=int8 stores matrices in a quarter of the size; --dtype=bfloat16 is for servers whose
hardware multiplies it. --compare writes nothing: it measures size, time and perplexity of each form
on lines of the run's validation text, or of --compare_text.
"""

import os

from absl import flags

from awd_keras.errors import InputError
from serving.limit_settings import Limits
from trainers import old_cli as command
from trainers.errors import UserError

FLAGS = flags.FLAGS
# Fields of `Limits`, with what they mean; the defaults are its.
_LIMITS = {
    "max_batch_size": "rows of a request, at most",
    "max_text_bytes": "bytes of a text, at most",
    "max_text_words": "words of a text, at most",
    "max_words": "words that generate writes, at most",
    "max_k": "words that next_word finds, at most",
}


def main():
    flags.DEFINE_string(
        "workdir", None, "run folder; default: the small model that comes with the package"
    )
    flags.DEFINE_string("output", None, "folder of all models (required, but for --compare)")
    flags.DEFINE_string("name", None, "the model's name; default: that of the run folder")
    flags.DEFINE_integer("version", None, "its version; default: one more than the last")
    flags.DEFINE_enum(
        "dtype", "float32", ["float32", "bfloat16"], "precision of the products on the server"
    )
    flags.DEFINE_enum("weights", None, ["int8"], "how matrices are stored; default: as --dtype")
    flags.DEFINE_bool("warmup", True, "write requests that warm a server up")
    flags.DEFINE_bool("compare", False, "measure all forms and write nothing")
    flags.DEFINE_string("compare_text", None, "text file for --compare; default: the run's own")
    flags.DEFINE_integer("compare_words", 20_000, "words of the text to measure with, at most")
    for name, meaning in _LIMITS.items():
        flags.DEFINE_integer(name, getattr(Limits, name), f"limit in the graph: {meaning}")
    command.main(_main, errors=_errors)


def _errors():

    bad_input = (UserError, InputError, UserError, UserError, UserError)
    return dict.fromkeys(bad_input, command.EXIT_BAD_INPUT)


def _main():
    from trainers.training import bundled

    if FLAGS.workdir == "":
        raise UserError("--workdir must be the folder of a trained run. Received: nothing")
    if not FLAGS.output and not FLAGS.compare:
        raise UserError("--output is required: the folder to write NAME/VERSION into.")
    limits = _limits()
    model, vocabulary, config = bundled.load_model(FLAGS.workdir, "float32")
    if FLAGS.workdir is None:
        print(bundled.describe())
    if FLAGS.compare:
        return _compare(model, vocabulary, config)
    return _export(model, vocabulary, config, limits)


def _limits():
    try:
        return Limits(**{name: getattr(FLAGS, name) for name in _LIMITS})
    except ValueError as error:
        raise UserError(str(error)) from None


def _export(model, vocabulary, config, limits):
    from serving.bundled_export import NAME
    from serving.saved_model import export_saved_model
    from serving.version_folder import check_name

    name = FLAGS.name
    if name is None:
        path = NAME if FLAGS.workdir is None else FLAGS.workdir
        name = os.path.basename(os.path.abspath(path))
        try:
            check_name(name)
        except UserError as error:
            raise UserError(
                f"{error}, the name of the run folder. Choose another by --name."
            ) from None
    export = export_saved_model(
        model,
        vocabulary,
        FLAGS.output,
        name,
        version=FLAGS.version,
        dtype=FLAGS.dtype,
        weights=FLAGS.weights,
        limits=limits,
        warmup=FLAGS.warmup,
        facts={"corpus": config.corpus},
    )
    print(f"written: {export.path}")
    print(
        f"model: {model.count_params():,} parameters, {len(vocabulary):,} words, "
        f"{FLAGS.dtype} products, {FLAGS.weights or FLAGS.dtype} weights"
    )
    rest = export.num_bytes - export.variable_bytes
    print(
        f"size: {_megabytes(export.num_bytes)} ({_megabytes(export.variable_bytes)} of weights, "
        f"{_megabytes(rest)} of graph, vocabulary and {export.num_warmup_requests} warm-up "
        "requests)"
    )
    print(f"weights in other forms: {_sizes(model)}")


def _sizes(model):
    """Bytes of the weights in each form: exact, but for a few thousand of names."""
    sizes = {"float32": 0, "bfloat16": 0, "int8": 0}
    for variable in model.weights:
        for name, width in (("float32", 4), ("bfloat16", 2), ("int8", 1)):
            is_matrix = len(variable.shape) == 2
            count = 1
            for size in variable.shape:
                count *= size
            sizes[name] += count * (width if is_matrix else 4)
            if is_matrix and name == "int8":
                # Scales: of words for an embedding, of gates for a kernel.
                is_embedding = variable.path.endswith("/embeddings")
                sizes[name] += 4 * variable.shape[0 if is_embedding else 1]
    return ", ".join(f"{name} {_megabytes(size)}" for name, size in sizes.items())


def _compare(model, vocabulary, config):
    from serving.comparison import BATCH_SIZES, compare

    lines = _lines(vocabulary, config)
    num_words = sum(map(len, lines))
    print(f"{len(lines):,} lines, {num_words:,} words; medians of a step in milliseconds")
    heading = "".join(f"{f'batch {size}':>10}" for size in BATCH_SIZES)
    print(f"{'products':<10}{'weights':<10}{'size':>10}{'perplexity':>12}{'cost':>9}{heading}")
    exact = None
    for measured in compare(model, vocabulary, lines):
        exact = exact or measured.perplexity
        cost = measured.perplexity / exact - 1
        seconds = "".join(f"{1e3 * measured.step_seconds[size]:>10.2f}" for size in BATCH_SIZES)
        print(
            f"{measured.dtype:<10}{measured.weights:<10}{_megabytes(measured.num_bytes):>10}"
            f"{measured.perplexity:>12.3f}{cost:>+9.2%}{seconds}",
            flush=True,
        )


def _lines(vocabulary, config):
    """Lines of a text as ids, up to so many words, and as long as a request may be."""
    from awd_keras.data import load_corpus
    from awd_keras.data.text_files import read_lines

    if FLAGS.compare_text:
        texts = [line.split() for line in read_lines(FLAGS.compare_text)]
    else:
        corpus = load_corpus(config.corpus, config.data_dir, config.max_vocabulary_size)
        words = " ".join(corpus.vocabulary.decode(corpus.validation))
        texts = [line.split() for line in words.split("<eos>")]
    lines, num_words = [], 0
    for words in filter(None, texts):
        # Room for the <eos>.
        words = words[: min(Limits().max_text_words - 1, FLAGS.compare_words - num_words)]
        if not words:
            break
        try:
            lines.append(vocabulary.encode(words).tolist())
        except ValueError as error:
            raise InputError(f"The text cannot be read with this run: {error}") from None
        num_words += len(words)
    if not lines:
        raise InputError("The text to compare with has no words.")
    return lines


def _megabytes(num_bytes):
    return f"{num_bytes / 1e6:.2f} MB"


if __name__ == "__main__":
    main()
