"""Generates text with a trained model."""

import sys

from absl import flags

from awd_keras.bundled_model import describe_bundled_model
from awd_keras.generation import TextGenerator
from trainers.errors import UserError
from trainers.training import factory

FLAGS = flags.FLAGS


def main():
    # As in trainers.score: bytes that are not UTF-8 pass through as parts of unknown words.
    sys.stdout.reconfigure(encoding="utf-8", errors="surrogateescape")
    model, vocabulary, _ = factory.load_model(FLAGS.workdir, FLAGS.dtype)
    if FLAGS.workdir is None:
        print(describe_bundled_model(), file=sys.stderr)
    tokenizer = vocabulary.tokenizer
    prompt = list(tokenizer.split(FLAGS.prompt))
    try:
        texts = TextGenerator(model, vocabulary).generate(
            FLAGS.prompt,
            num_samples=FLAGS.num_samples,
            max_words=FLAGS.max_words,
            temperature=FLAGS.temperature,
            top_k=FLAGS.top_k,
            top_p=FLAGS.top_p,
            seed=FLAGS.seed,
            unknown=FLAGS.unknown,
            repeat_unknown=FLAGS.repeat_unknown,
        )
    except ValueError as error:
        raise UserError(str(error)) from error
    unknown = sorted({word for word in prompt if word not in vocabulary})
    if unknown:
        print(f"warning: read as <unk>: {' '.join(unknown)}", file=sys.stderr)
    for text in texts:
        print(tokenizer.join([*prompt, *text.words]), flush=True)
