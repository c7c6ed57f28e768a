"""Time and memory of the softmax's loss and gradient, in chunks and at once.

  python -m benchmarks.softmax

Times at Penn Treebank's 10,000 words: in chunks as the training step has it, all tokens at once,
and TensorFlow's own `sparse_softmax_cross_entropy_with_logits` under autodiff. Memory at
WikiText-103's 267,735 words, where the logits of one window (batch 60, 70 time steps) are 4.5 GB.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time

from benchmarks.report import markdown, milliseconds
from benchmarks.worker import ROOT, memory

LARGE_VOCABULARY, LARGE_TOKENS = 267_735, 4200
# What the chunks may cost in time, and all of it in memory (1 GB).
MOST_TIME, MOST_MEMORY_MIB = 1.3, 1e9 / 2**20
_CHUNKS, _AT_ONCE, _PLAIN = "in chunks", "all tokens at once", "TensorFlow's own"
_FEATURES = 400


def _arguments(num_tokens, vocabulary_size):
    import tensorflow as tf

    hidden = tf.random.stateless_normal((num_tokens, _FEATURES), (1, 2))
    embedding = tf.random.stateless_uniform((vocabulary_size, _FEATURES), (1, 3), -0.1, 0.1)
    targets = tf.random.stateless_uniform((num_tokens,), (1, 4), 0, vocabulary_size, tf.int32)
    return hidden, embedding, tf.zeros(vocabulary_size), targets


def _function(chunk_size, plain=False):
    """A traced function of loss and gradients."""
    import tensorflow as tf

    from awd_keras.ops import sequence_cross_entropy

    @tf.function(autograph=False)
    def loss_and_gradients(hidden, embedding, bias, targets):
        inputs = [hidden, embedding, bias]
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            if plain:
                logits = tf.matmul(hidden, embedding, transpose_b=True) + bias
                nats = tf.nn.sparse_softmax_cross_entropy_with_logits(targets, logits)
                loss = tf.reduce_sum(nats)
            else:
                loss, _ = sequence_cross_entropy(*inputs, targets, chunk_size=chunk_size)
        return loss, tape.gradient(loss, inputs)

    return loss_and_gradients


def measure_times(num_tokens, vocabulary_size, rounds):
    """A list of seconds for each of the three forms, which take turns."""
    arguments = _arguments(num_tokens, vocabulary_size)
    functions = [
        (_CHUNKS, _function(None)),
        (_AT_ONCE, _function(num_tokens)),
        (_PLAIN, _function(None, plain=True)),
    ]
    seconds = {name: [] for name, _ in functions}
    for turn in range(rounds + 1):
        first = turn % len(functions)  # who goes first changes
        for name, function in functions[first:] + functions[:first]:
            start = time.perf_counter()
            float(function(*arguments)[0])
            if turn:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def measure_memory(num_tokens, vocabulary_size):
    """Seconds of one call, and MiB beyond its arguments and the embedding's gradient."""
    arguments = _arguments(num_tokens, vocabulary_size)
    # Tracing and the threads' own memory are not the softmax's.
    function = _function(None)
    float(function(*_arguments(2, vocabulary_size))[0])
    held = memory("VmRSS")
    start = time.perf_counter()
    loss, _ = function(*arguments)
    float(loss)
    seconds = time.perf_counter() - start
    gradient = vocabulary_size * _FEATURES * 4 / 2**20
    beyond = memory("VmHWM") - held - gradient
    return {"seconds": seconds, "beyond_mib": beyond, "gradient_mib": gradient}


def _alone(part, **arguments):
    """Runs a part in a process of its own: a peak is of the whole process, and never falls."""
    command = [sys.executable, "-m", "benchmarks.softmax", f"--part={part}"]
    command.append(f"--arguments={json.dumps(arguments)}")
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        words = done.stderr.strip().splitlines() or [f"it ended with {done.returncode}"]
        raise RuntimeError(words[-1])
    return json.loads(done.stdout.splitlines()[-1])


def measure(tokens, vocabulary_size, large_tokens, large_vocabulary_size, rounds):
    """Both measurements.

    Args:
        tokens: numbers of tokens of which to take the time.
        vocabulary_size: words of these.
        large_tokens: tokens of which to take the memory.
        large_vocabulary_size: words of these.
        rounds: measurements of each form's time.

    Returns:
        a dict: `times`, a list of dicts of tokens, vocabulary_size and seconds (a list for each
        form); `memory`, a dict of tokens, vocabulary_size, seconds, beyond_mib and gradient_mib.
    """
    times = []
    for num_tokens in tokens:
        size = {"num_tokens": num_tokens, "vocabulary_size": vocabulary_size}
        times.append({**size, "seconds": _alone("times", **size, rounds=rounds)})
    size = {"num_tokens": large_tokens, "vocabulary_size": large_vocabulary_size}
    return {"times": times, "memory": {**size, **_alone("memory", **size)}}


def _verdict(value, most):
    return "holds" if value <= most else "DOES NOT HOLD"


def report(results):
    """The results of `measure` as Markdown lines."""
    lines, sentences = [], []
    for row in results["times"]:
        medians = {name: statistics.median(values) for name, values in row["seconds"].items()}
        for name, values in row["seconds"].items():
            ratio = f"{medians[name] / medians[_AT_ONCE]:.2f}"
            what = f"{row['vocabulary_size']:,} words, {row['num_tokens']:,} tokens"
            lines.append([what, name, *milliseconds(values), ratio])
        ratio = medians[_CHUNKS] / medians[_AT_ONCE]
        sentences.append(
            f"{row['num_tokens']:,} tokens: chunks take {ratio:.2f} of the time of all at once; at "
            f"most {MOST_TIME} {_verdict(ratio, MOST_TIME)}."
        )
    found = results["memory"]
    sentences.append(
        f"{found['vocabulary_size']:,} words, {found['num_tokens']:,} tokens: "
        f"{found['seconds']:.1f} s, {found['beyond_mib']:,.0f} MiB beyond arguments and the "
        f"embedding's gradient ({found['gradient_mib']:,.0f} MiB); at most {MOST_MEMORY_MIB:,.0f} "
        f"MiB (1 GB) {_verdict(found['beyond_mib'], MOST_MEMORY_MIB)}; all logits would be "
        f"{found['num_tokens'] * found['vocabulary_size'] * 4 / 2**20:,.0f} MiB."
    )
    header = ["softmax, loss and gradient", "form", "ms", "lowest to highest", "to all at once"]
    table = markdown(header, lines, text_columns=2)
    return [*table, *(line for sentence in sentences for line in ["", sentence])]


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tokens", type=int, nargs="+", default=[1400, 5600], help="of the times")
    parser.add_argument("--large_tokens", type=int, default=LARGE_TOKENS, help="of the memory")
    parser.add_argument("--rounds", type=int, default=7, help="measurements of each form")
    parser.add_argument("--part", choices=["times", "memory"], help=argparse.SUPPRESS)
    parser.add_argument("--arguments", type=json.loads, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.part:
        function = {"times": measure_times, "memory": measure_memory}[arguments.part]
        print(json.dumps(function(**arguments.arguments)))
        return
    results = measure(
        arguments.tokens, 10_000, arguments.large_tokens, LARGE_VOCABULARY, arguments.rounds
    )
    print("\n".join(report(results)))


if __name__ == "__main__":
    main()
