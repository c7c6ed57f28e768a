"""Writes text by a trained run, or by the small model that comes with the package.

  python -m trainers.generate --prompt="the congress"
  python -m trainers.generate --workdir=runs/ptb --prompt="the company said"
  python -m trainers.generate --workdir=runs/ptb --num_samples=10 --nounknown --top_p=0.9
  python -m trainers.generate --workdir=runs/ptb --prompt="the" --temperature=0

Each sample is a line on standard output: the prompt and what follows it, until <eos> or
--max_words. The prompt begins after an <eos>, as a line of the training text does; without one a
line is begun. The same seed gives the same text, and a sample does not depend on how many there
are.
"""

import sys

from absl import flags

from trainers import command
from trainers.errors import UserError

FLAGS = flags.FLAGS
_SETTINGS = (
    "num_samples",
    "max_words",
    "temperature",
    "top_k",
    "top_p",
    "seed",
    "unknown",
    "repeat_unknown",
)


def main():
    flags.DEFINE_string(
        "workdir", None, "run folder; default: the small model that comes with the package"
    )
    flags.DEFINE_string("prompt", "", "words to write on from, white space between them")
    flags.DEFINE_integer("num_samples", 1, "how many texts")
    flags.DEFINE_integer("max_words", 100, "words after which a text ends, if no <eos> ended it")
    flags.DEFINE_float("temperature", 1.0, "what the logits are divided by; 0: the likeliest word")
    flags.DEFINE_integer("top_k", 0, "draw from so many of the likeliest words; 0: from all")
    flags.DEFINE_float(
        "top_p", 1.0, "draw from the fewest words, likeliest first, whose probabilities sum to it"
    )
    flags.DEFINE_integer("seed", 0, "of the draws")
    flags.DEFINE_bool("unknown", True, "may write <unk>; with --nounknown it never does")
    flags.DEFINE_bool("repeat_unknown", True, "may write <unk> after <unk>")
    flags.DEFINE_enum(
        "dtype",
        "float32",
        ["float32", "bfloat16"],
        "precision of the products; in bfloat16 all "
        "weights are rounded for each word, which takes longer than multiplying them",
    )
    command.main(_generate)


def _generate():
    from awd_keras.generation import GenerationConfig, TextGenerator
    from trainers.training import bundled

    if FLAGS.workdir == "":
        raise UserError("--workdir must be the folder of a trained run. Received: nothing")
    try:
        FLAGS.prompt.encode("utf-8")
    except UnicodeEncodeError:
        raise UserError(f"--prompt must be UTF-8. Received: {FLAGS.prompt!a}") from None
    config = GenerationConfig(**{name: getattr(FLAGS, name) for name in _SETTINGS})
    model, vocabulary, _ = bundled.load_model(FLAGS.workdir, FLAGS.dtype)
    if FLAGS.workdir is None:
        print(bundled.describe(), file=sys.stderr)
    prompt = FLAGS.prompt.split()
    texts = TextGenerator(model, vocabulary).generate(FLAGS.prompt, config)
    unknown = sorted({word for word in prompt if word not in vocabulary})
    if unknown:
        print(f"warning: read as <unk>: {' '.join(unknown)}", file=sys.stderr)
    sys.stdout.reconfigure(encoding="utf-8")
    for text in texts:
        print(" ".join([*prompt, *text.words]), flush=True)


if __name__ == "__main__":
    main()
