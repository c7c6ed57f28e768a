"""Time of the continuous cache and of scoring lines, against plain evaluation.

  python -m benchmarks.evaluation --data_dir=FOLDER       # lines of its training text
  python -m benchmarks.evaluation                         # lines made up by Zipf's law

The model has the paper's sizes for Penn Treebank and random weights: time does not depend on them.
`cache`: the text at batch size 1, the protocol of the cache, without a cache and with one of 500
words. `score`: lines scored one by one (`trainers.score`), and the same words as one text, at the
same batch size; per word, `<eos>` among them. Each pair takes turns; figures are medians.
"""

import argparse
import statistics
import time

import numpy as np

from benchmarks.report import machine, markdown, milliseconds
from benchmarks.workload import Workload
from trainers.start_up import start_tensorflow

# What they may cost: the cache's time to the time without, a scored word's to an evaluated one's.
MOST_CACHE, MOST_SCORE = 1.2, 1.25
WINDOW = 500


def made_lines(num_lines, vocabulary_size=10_000, seed=141):
    """Lines of 2 to 40 words w0, w1 ... by Zipf's law."""
    generator = np.random.default_rng(seed)
    probabilities = 1.0 / np.arange(1, vocabulary_size - 1)
    probabilities /= probabilities.sum()
    lengths = generator.integers(2, 41, size=num_lines)
    words = generator.choice(vocabulary_size - 2, size=lengths.sum(), p=probabilities)
    ends = np.cumsum(lengths)[:-1]
    return [" ".join(f"w{word}" for word in line) for line in np.split(words, ends)]


def read_lines(data_dir, num_lines):
    """The first lines of the training text in a folder, or made-up ones."""
    if data_dir is None:
        return made_lines(num_lines)
    from awd_keras.data.text_files import read_text_folder

    return [" ".join(line.split()) for line in read_text_folder(data_dir)["train"][:num_lines]]


def build(workload, lines):
    """A model with random weights, and a vocabulary of its size with the words of the lines."""
    from awd_keras.data import Vocabulary
    from trainers.config import TrainingConfig
    from trainers.training import factory

    sizes = {
        name: getattr(workload, name)
        for name in ("embedding_dim", "hidden_dim", "num_layers", "dtype", "seed")
    }
    model = factory.build_model(TrainingConfig(**sizes), workload.vocabulary_size)
    words = dict.fromkeys(["<unk>", "<eos>", *(word for line in lines for word in line.split())])
    words = list(words)[: workload.vocabulary_size]
    words += [f"unused{index}" for index in range(workload.vocabulary_size - len(words))]
    return model, Vocabulary(words)


def measure(functions, rounds):
    """Seconds of each function: a list for each name, after a round that is not measured."""
    seconds = {name: [] for name in functions}
    for turn in range(rounds + 1):
        names = list(functions)
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            start = time.perf_counter()
            functions[name]()
            if turn:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def measure_cache(model, token_ids, rounds):
    """Seconds of evaluation without and with the cache, over the same text."""
    from awd_keras.evaluation import ContinuousCache
    from awd_keras.evaluation.scorer import Scorer

    plain = Scorer(model)
    cached = Scorer(model, cache=ContinuousCache(window=WINDOW, theta=1.0, lambda_=0.1))
    return measure(
        {
            "without a cache": lambda: plain.score(token_ids, lambda scores: None),
            f"cache of {WINDOW} words": lambda: cached.score(token_ids, lambda scores: None),
        },
        rounds,
    )


def measure_score(model, vocabulary, lines, batch_size, rounds):
    """Seconds of scoring lines, and of evaluating their words as one text."""
    from awd_keras.evaluation.evaluate import Evaluator
    from awd_keras.evaluation.scoring import LineScorer

    token_ids = np.concatenate(
        [[*vocabulary.encode(line.split()), vocabulary.eos_id] for line in lines]
    ).astype("int32")
    evaluator, scorer = Evaluator(model), LineScorer(model, vocabulary, batch_size)
    return measure(
        {
            "evaluation as one text": lambda: evaluator.evaluate(token_ids, batch_size),
            "line by line": lambda: list(scorer.score(lines)),
        },
        rounds,
    )


def report(seconds, what, most):
    """Markdown rows of a pair, and a sentence on its limit."""
    base, other = seconds
    ratio = statistics.median(seconds[other]) / statistics.median(seconds[base])
    rows = [[what, name, *milliseconds(values)] for name, values in seconds.items()]
    verdict = "holds" if ratio <= most else "DOES NOT HOLD"
    return rows, f"{what}: {other} takes {ratio:.2f} of the time; at most {most} {verdict}."


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data_dir", help="folder of the text; default: lines that are made up")
    parser.add_argument("--dtype", nargs="+", default=["float32"], choices=["float32", "bfloat16"])
    parser.add_argument("--cache_tokens", type=int, default=20_000, help="words for the cache")
    parser.add_argument("--lines", type=int, default=10_000, help="lines to score")
    parser.add_argument("--batch_size", type=int, default=128, help="of the lines")
    parser.add_argument("--rounds", type=int, default=3, help="measurements of each")
    for name in ("embedding_dim", "hidden_dim", "num_layers"):
        default = getattr(Workload(), name)
        parser.add_argument(f"--{name}", type=int, default=default, help="of the model")
    arguments = parser.parse_args()
    start_tensorflow()
    print(machine(), flush=True)
    lines = read_lines(arguments.data_dir, arguments.lines)
    rows, sentences = [], []
    for dtype in arguments.dtype:
        workload = Workload(
            dtype=dtype,
            embedding_dim=arguments.embedding_dim,
            hidden_dim=arguments.hidden_dim,
            num_layers=arguments.num_layers,
        )
        model, vocabulary = build(workload, lines)
        text = " <eos> ".join(lines).split()[: arguments.cache_tokens]
        ids = vocabulary.encode(text)
        parts = [
            (
                measure_cache(model, ids, arguments.rounds),
                MOST_CACHE,
                f"{len(text):,} words, batch 1, {dtype}",
            ),
            (
                measure_score(model, vocabulary, lines, arguments.batch_size, arguments.rounds),
                MOST_SCORE,
                f"{len(lines):,} lines, batch {arguments.batch_size}, {dtype}",
            ),
        ]
        for seconds, most, what in parts:
            more, sentence = report(seconds, what, most)
            rows += more
            sentences.append(sentence)
    print("\n".join(markdown(["text", "how", "ms", "lowest to highest"], rows, text_columns=2)))
    print("\n" + "\n".join(sentences))


if __name__ == "__main__":
    main()
