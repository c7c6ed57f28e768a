"""Evaluates a trained run on a text of its corpus, or on any text file.

  python -m trainers.evaluate --workdir=runs/ptb                          the test text
  python -m trainers.evaluate --workdir=runs/ptb --split=validation
  python -m trainers.evaluate --workdir=runs/ptb --cache                  the continuous cache
  python -m trainers.evaluate --workdir=runs/ptb --cache --dyneval        and dynamic evaluation
  python -m trainers.evaluate --workdir=runs/ptb --cache --search         search its settings on the
                                             validation text, then evaluate the test text
  python -m trainers.evaluate --workdir=runs/ptb --data_file=FILE --per_token=WORDS.tsv

Prints a table and writes the results as JSON into the run folder, one file for each text and each
combination of --cache, --dyneval and --search, such as evaluation-test-cache-search.json. Nothing
else in the run folder changes. With the cache or dynamic evaluation, --batch_size=1 (then the
default) makes results comparable with published ones.
"""

from absl import flags

from trainers import cli


def main():
    with cli.section("Text"):
        flags.DEFINE_string("workdir", None, "run folder (required)")
        splits = ["train", "validation", "test"]
        flags.DEFINE_enum("split", "test", splits, "text of the run's corpus to evaluate")
        flags.DEFINE_string("data_file", None, "UTF-8 text file to evaluate instead")
        flags.DEFINE_string("data_dir", None, "folder of the run's corpus, if it has moved")
        _integer(
            "batch_size",
            "columns that the text is split into; default: the run's, but 1 for a file and with "
            "--cache, --dyneval or --per_token",
        )
        dtypes = ["float32", "bfloat16"]
        flags.DEFINE_enum("dtype", None, dtypes, "matmul precision; default: the run's")
    with cli.section("Output"):
        help = "JSON file to write; default: evaluation-*.json in the run folder"
        flags.DEFINE_string("output", None, help)
        help = "also write a table with the log-probability and rank of each word but the first"
        flags.DEFINE_string("per_token", None, help)
    with cli.section("Continuous cache (Grave et al. 2017)"):
        flags.DEFINE_bool("cache", False, "use the continuous cache")
        _list("cache_window", "number of words to remember; default: 500, wikitext2: 3785")
        _list("cache_theta", "scale of the similarities; default: 1.0, wikitext2: 0.662")
        _list("cache_lambda", "weight of the cache; default: 0.1, wikitext2: 0.1279")
    with cli.section("Dynamic evaluation (Krause et al. 2018)"):
        flags.DEFINE_bool("dyneval", False, "use dynamic evaluation")
        _list("dyneval_learning_rate", "learning rate (the authors' --lr); default: 5e-5")
        _list("dyneval_decay_rate", "rate of return to the trained weights (--lamb); default: 2e-3")
        help = "limits the steps of weights with small gradients (--epsilon)"
        flags.DEFINE_float("dyneval_epsilon", 2e-5, help)
        _integer("dyneval_bptt", "words between updates (--bptt)", 5)
        help = "columns of the training text for gradient statistics (--batch_size)"
        _integer("dyneval_statistics_batch_size", help, 100)
        help = "windows to collect statistics from; default: all (--max_batches)"
        _integer("dyneval_statistics_windows", help)
    with cli.section("Search"):
        flags.DEFINE_bool(
            "search",
            False,
            "try all combinations of settings on the validation text and use the best; window, "
            "theta, lambda, learning rate and decay rate may then be comma-separated lists, and "
            "default to lists",
        )
        _integer("search_tokens", "use the first N tokens of the validation text; default: all")
    cli.main("trainers.commands.evaluate", __doc__)


def _list(name, help):
    flags.DEFINE_list(name, None, help)


def _integer(name, help, default=None):
    flags.DEFINE_integer(name, default, help, lower_bound=1)


if __name__ == "__main__":
    main()
