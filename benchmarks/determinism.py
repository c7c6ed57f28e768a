"""Are runs equal bit for bit without TensorFlow's op determinism, and what would it cost?

  python -m benchmarks.determinism --preset=ptb --steps=8 --processes=3

Each process takes the same training steps on the same made-up text and hashes all weights; half of
the processes switch op determinism on. Equal hashes mean that nothing depended on the order in
which threads finished.
"""

import argparse
import hashlib
import json
import statistics
import subprocess
import sys
import time

from trainers.presets import PRESETS, preset


def worker(arguments):
    """Takes the steps; prints a hash of the weights and the median seconds of a step."""
    import numpy as np
    import tensorflow as tf

    from awd_keras.models.train_step import make_train_step
    from trainers.training import factory

    if arguments.worker == "deterministic":
        tf.config.experimental.enable_op_determinism()
    config = preset(arguments.preset).config.replace(dtype=arguments.dtype)
    model = factory.build_model(config, 10_000)
    optimizer = factory.build_optimizer(config, model)
    step = make_train_step(
        model,
        optimizer,
        ar_alpha=config.ar_alpha,
        tar_beta=config.tar_beta,
        global_clipnorm=config.global_clipnorm,
        seed=config.seed,
    )
    generator = np.random.default_rng(0)
    states = model.initial_state(config.batch_size)
    seconds = []
    for index in range(arguments.steps):
        shape = (config.batch_size, config.bptt + 1)
        text = tf.constant(generator.integers(0, 10_000, shape), tf.int32)
        start = time.perf_counter()
        loss, _, states = step(
            text[:, :-1], text[:, 1:], states, tf.constant(config.learning_rate), tf.constant(index)
        )
        float(loss)
        seconds.append(time.perf_counter() - start)
    digest = hashlib.sha256(b"".join(v.numpy().tobytes() for v in model.weights)).hexdigest()
    print(json.dumps({"digest": digest, "seconds": statistics.median(seconds[1:])}))


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--preset", default="ptb", choices=list(PRESETS), help="sizes")
    parser.add_argument("--steps", type=int, default=8, help="steps in each process")
    parser.add_argument("--processes", type=int, default=3, help="processes of each kind")
    parser.add_argument("--dtype", default="float32", choices=["float32", "bfloat16"])
    parser.add_argument("--worker", choices=["default", "deterministic"], help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        worker(arguments)
        return
    medians = {}
    for kind in ("default", "deterministic"):
        command = [sys.executable, "-m", "benchmarks.determinism", f"--worker={kind}"]
        command += [f"--{name}={getattr(arguments, name)}" for name in ("preset", "steps", "dtype")]
        runs = [
            json.loads(
                subprocess.run(
                    command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
                ).stdout.splitlines()[-1]
            )
            for _ in range(arguments.processes)
        ]
        digests = {run["digest"] for run in runs}
        medians[kind] = statistics.median(run["seconds"] for run in runs)
        verdict = "equal bit for bit" if len(digests) == 1 else f"{len(digests)} different results"
        print(
            f"{kind}: {len(runs)} processes, {arguments.steps} steps: {verdict}; "
            f"{medians[kind]:.3f} s/step"
        )
    print(f"op determinism costs {medians['deterministic'] / medians['default'] - 1:+.1%}")


if __name__ == "__main__":
    main()
