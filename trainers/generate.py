"""Generates text with a trained model.

  python -m trainers.generate --prompt="the congress"
  python -m trainers.generate --workdir=runs/ptb --prompt="the company said"
  python -m trainers.generate --workdir=runs/ptb --num_samples=10 --nounknown --top_p=0.9
  python -m trainers.generate --workdir=runs/ptb --prompt="the" --temperature=0

Each line of the output is a sample: the prompt and its continuation, which ends at <eos> or after
--max_words. Without a prompt, a sample is a new line of text. Without --workdir, the small model
that comes with the package is used.
"""

from absl import flags

from trainers import cli


def main():
    flags.DEFINE_string("workdir", None, "run folder; default: the bundled model")
    flags.DEFINE_string("prompt", "", "words to continue, separated by spaces")
    flags.DEFINE_integer("num_samples", 1, "number of samples", 1, 10**6)
    flags.DEFINE_integer("max_words", 100, "maximum number of words to add to the prompt")
    flags.DEFINE_float("temperature", 1.0, "divisor of the logits; 0 selects the most likely word")
    flags.DEFINE_integer("top_k", 0, "sample from the k most likely words; 0 for all")
    flags.DEFINE_float(
        "top_p",
        1.0,
        "sample from the smallest set of most likely words whose probabilities sum to this value",
    )
    flags.DEFINE_integer(
        "seed", 0, "random seed; a sample depends only on the seed and its own index"
    )
    flags.DEFINE_bool("unknown", True, "allow <unk> in the text")
    flags.DEFINE_bool("repeat_unknown", True, "allow <unk> after <unk>")
    dtypes = ["float32", "bfloat16"]
    flags.DEFINE_enum("dtype", "float32", dtypes, "matmul precision; bfloat16 is slower here")
    cli.main("trainers.commands.generate", __doc__)


if __name__ == "__main__":
    main()
