"""A PyTorch training loop of the same model and settings, to compare perplexity by minutes with.

  PYTHON -m benchmarks.torch_training --data_dir=FOLDER --epochs=30 --workdir=runs/torch

PYTHON has `torch`. The recipe is that of `python -m trainers.ptb --preset=ptb_small`: its windows,
its learning rate for each, NT-ASGD by the same trigger; the step is that of
`benchmarks/implementations/torch_lstm.py`. The workdir gets a `metrics.csv` with the columns that a
run folder's has of them, which `benchmarks.minutes` draws.
"""

import argparse
import csv
import dataclasses
import math
import pathlib
import time

import torch

from awd_keras.data import load_corpus
from awd_keras.data.batching import batchify, bptt_windows
from awd_keras.optimizers import NonMonotonicTrigger
from benchmarks.implementations.torch_lstm import DEVICE, Implementation
from benchmarks.workload import Workload
from trainers.presets import preset

COLUMNS = (
    "epoch",
    "validation_loss",
    "validation_perplexity",
    "raw_validation_perplexity",
    "averaging",
    "seconds",
)
_WINDOW_TOKENS = 2000


class Average:
    """The mean of the weights after each step since it was begun."""

    def __init__(self, parameters):
        self._parameters = list(parameters)
        self._means = [torch.zeros_like(parameter) for parameter in self._parameters]
        self.count = 0

    @torch.no_grad()
    def add(self):
        self.count += 1
        torch._foreach_lerp_(self._means, [p.data for p in self._parameters], 1 / self.count)

    @torch.no_grad()
    def swap(self):
        """Exchanges weights and averages."""
        for parameter, mean in zip(self._parameters, self._means):
            kept = parameter.detach().clone()
            parameter.copy_(mean)
            mean.copy_(kept)


def workload_of(config, vocabulary_size):
    """The `Workload` with the settings of a `TrainingConfig`."""
    known = {field.name for field in dataclasses.fields(Workload)}
    settings = {k: v for k, v in dataclasses.asdict(config).items() if k in known}
    settings.update(config.dropout_rates(), timesteps=config.bptt, vocabulary_size=vocabulary_size)
    return Workload(**settings)


def windows(columns, lengths):
    """Yields time-major `(inputs, targets)` of an int array (batch_size, num_steps + 1)."""
    text = torch.tensor(columns, dtype=torch.int64, device=DEVICE).t().contiguous()
    start = 0
    for length in lengths:
        yield text[start : start + length], text[start + 1 : start + length + 1]
        start += length


def validation_loss(model, token_ids, batch_size):
    """Nats per token of a text, from a zero state; the state of training is as before."""
    columns = batchify(token_ids, batch_size)
    num_steps, length = columns.shape[1] - 1, max(1, _WINDOW_TOKENS // batch_size)
    lengths = [min(length, num_steps - start) for start in range(0, num_steps, length)]
    kept, model.states = model.states, model.zero_states(batch_size)
    total = sum(model.measure(*window) * window[1].numel() for window in windows(columns, lengths))
    model.states = kept
    return total / (num_steps * batch_size)


def train(config, corpus):
    """Trains, and yields a row of `metrics.csv` after each epoch."""
    model = Implementation(workload_of(config, len(corpus.vocabulary)))
    trigger, average = NonMonotonicTrigger(config.non_monotone_interval), None
    columns = batchify(corpus.train, config.batch_size)
    started = time.monotonic()
    for epoch in range(config.epochs):
        lengths = bptt_windows(
            columns.shape[1] - 1,
            config.bptt,
            config.seed,
            epoch,
            bptt_std=config.bptt_std,
            bptt_min=config.bptt_min,
            bptt_max=config.bptt_max,
            bptt_full_probability=config.bptt_full_probability,
        )
        model.states = model.zero_states(config.batch_size)
        for inputs, targets in windows(columns, lengths):
            loss = model.learn(inputs, targets, rate_scale=len(inputs) / config.bptt)
            if not math.isfinite(loss):
                raise SystemExit(f"error: the loss is {loss} in epoch {epoch + 1}")
            if average is not None:
                average.add()
        raw = averaged = validation_loss(model, corpus.validation, config.validation_batch_size)
        if average is not None:
            average.swap()
            averaged = validation_loss(model, corpus.validation, config.validation_batch_size)
            average.swap()
        values = (
            epoch + 1,
            averaged,
            math.exp(averaged),
            math.exp(raw),
            int(average is not None),
            round(time.monotonic() - started, 3),
        )
        yield dict(zip(COLUMNS, values))
        if average is None and trigger.update(averaged):
            average = Average(model.parameters())


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data_dir", required=True, help="folder of Penn Treebank")
    parser.add_argument("--workdir", required=True, help="new folder for metrics.csv")
    parser.add_argument("--preset", default="ptb_small", help="whose settings to take")
    parser.add_argument("--epochs", type=int, default=30, help="how many")
    parser.add_argument("--seed", type=int, default=141, help="of weights, masks and windows")
    parser.add_argument("--dtype", default="float32", choices=["float32", "bfloat16"])
    arguments = parser.parse_args()
    config = preset(arguments.preset).config.replace(
        epochs=arguments.epochs, seed=arguments.seed, dtype=arguments.dtype
    )
    corpus = load_corpus(config.corpus, arguments.data_dir)
    workdir = pathlib.Path(arguments.workdir)
    workdir.mkdir(parents=True)
    with open(workdir / "metrics.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        for row in train(config, corpus):
            writer.writerow(row)
            file.flush()
            print(
                f"epoch {row['epoch']}: perplexity {row['validation_perplexity']:.2f}, "
                f"{row['seconds'] / 60:.1f} minutes",
                flush=True,
            )


if __name__ == "__main__":
    main()
