"""Time and memory of the softmax's loss and gradient, in chunks and at once.

  python -m benchmarks.softmax

Times at Penn Treebank's 10,000 words: in chunks as the training step has it, all tokens at once,
and TensorFlow's own `sparse_softmax_cross_entropy_with_logits` under autodiff. Memory at
WikiText-103's 267,735 words, where the logits of one window (batch 60, 70 time steps) are 4.5 GB.
"""

import argparse
import statistics
import subprocess
import sys
import time

from benchmarks.worker import memory

_FEATURES = 400
_LARGE_VOCABULARY = 267_735


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


def measure_times(num_tokens, rounds):
    """Prints milliseconds of the three forms, which take turns."""
    arguments = _arguments(num_tokens, 10_000)
    functions = {
        "in chunks": _function(None),
        "all tokens at once": _function(num_tokens),
        "TensorFlow's own": _function(None, plain=True),
    }
    seconds = {name: [] for name in functions}
    for turn in range(rounds + 1):
        for name, function in functions.items():
            start = time.perf_counter()
            float(function(*arguments)[0])
            if turn:
                seconds[name].append(time.perf_counter() - start)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    for name, median in medians.items():
        ratio = median / medians["all tokens at once"]
        print(f"| {num_tokens:,} tokens | {name} | {1000 * median:.0f} ms | {ratio:.2f} |")


def measure_memory(num_tokens):
    """Prints the memory of one call beyond its arguments and the embedding's gradient."""
    arguments = _arguments(num_tokens, _LARGE_VOCABULARY)
    # Tracing and the threads' own memory are not the softmax's.
    function = _function(None)
    float(function(*_arguments(2, _LARGE_VOCABULARY))[0])
    held = memory("VmRSS")
    start = time.perf_counter()
    loss, _ = function(*arguments)
    float(loss)
    gradient = _LARGE_VOCABULARY * _FEATURES * 4 / 2**20
    print(
        f"{_LARGE_VOCABULARY:,} words, {num_tokens:,} tokens: {time.perf_counter() - start:.1f} s, "
        f"{memory('VmHWM') - held - gradient:,.0f} MiB beyond arguments and the embedding's "
        f"gradient ({gradient:,.0f} MiB); all logits would be "
        f"{num_tokens * _LARGE_VOCABULARY * 4 / 2**20:,.0f} MiB"
    )


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tokens", type=int, nargs="+", default=[1400, 5600], help="of the times")
    parser.add_argument("--large_tokens", type=int, default=4200, help="of the memory")
    parser.add_argument("--rounds", type=int, default=7, help="measurements of each form")
    parser.add_argument("--memory_only", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.memory_only:
        measure_memory(arguments.large_tokens)
        return
    print("| | form | median | to all at once |\n| --- | --- | ---: | ---: |")
    for num_tokens in arguments.tokens:
        measure_times(num_tokens, arguments.rounds)
    # Alone in a process: a peak is of the whole process, and never falls.
    print(flush=True)
    command = [sys.executable, "-m", "benchmarks.softmax", "--memory_only"]
    command.append(f"--large_tokens={arguments.large_tokens}")
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)


if __name__ == "__main__":
    main()
