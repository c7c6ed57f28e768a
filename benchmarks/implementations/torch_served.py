"""The same calls in PyTorch, eager: `torch.nn.LSTM`, the tied softmax as one product.

It reads ids, where the export reads text. bfloat16 is the model in bfloat16.
"""

import os
import time

import torch
from torch import nn
from torch.nn import functional

torch.set_num_threads(len(os.sched_getaffinity(0)))
_EOS = 1


class Implementation(nn.Module):
    """The model and its calls; each returns seconds, without what makes the inputs."""

    def __init__(self, workload):
        super().__init__()
        if workload.dtype == "int8":
            raise RuntimeError("torch.nn.LSTM has no 8-bit weights without calibration")
        torch.manual_seed(workload.seed)
        self.framework = f"PyTorch {torch.__version__}"
        self.workload = workload
        size = (workload.vocabulary_size, workload.embedding_dim)
        self.embedding = nn.Parameter(torch.empty(size).uniform_(-0.1, 0.1))
        self.bias = nn.Parameter(torch.zeros(workload.vocabulary_size))
        self.lstms = nn.ModuleList(
            nn.LSTM(features, units) for features, units in workload.layer_sizes
        )
        self.to(torch.bfloat16 if workload.dtype == "bfloat16" else torch.float32).eval()
        self.read = self._read
        self.logits = self._logits

    def zero_states(self, rows):
        dtype = self.embedding.dtype
        return [
            (torch.zeros(1, rows, units, dtype=dtype), torch.zeros(1, rows, units, dtype=dtype))
            for _, units in self.workload.layer_sizes
        ]

    def _read(self, words, states):
        """Time-major words (timesteps, rows) to outputs and states."""
        x, finals = functional.embedding(words, self.embedding), []
        for lstm, state in zip(self.lstms, states, strict=True):
            x, state = lstm(x, state)
            finals.append(state)
        return x, finals

    def _logits(self, x):
        return functional.linear(x, self.embedding, self.bias).float()

    def _words(self, index):
        ids = torch.from_numpy(self.workload.text(index)[:, 1:].astype("int64")).t()
        return torch.cat([torch.full((1, ids.shape[1]), _EOS), ids])

    def _timed(self, function, *inputs):
        start = time.perf_counter()
        with torch.inference_mode():
            function(*inputs)
        return time.perf_counter() - start

    def score(self, index):
        words = self._words(index)
        rows = words.shape[1]

        def run():
            outputs, _ = self.read(words, self.zero_states(rows))
            targets = torch.cat([words[1:], torch.full((1, rows), _EOS)])
            log_probabilities = functional.log_softmax(self.logits(outputs), -1)
            return log_probabilities.gather(-1, targets[..., None]).sum(0).tolist()

        return self._timed(run)

    def next_word(self, index):
        words = self._words(index)

        def run():
            outputs, _ = self.read(words, self.zero_states(words.shape[1]))
            best = functional.log_softmax(self.logits(outputs[-1]), -1).topk(5)
            return best.values.tolist(), best.indices.tolist()

        return self._timed(run)

    def step(self, index):
        words = self._words(index)[1:2]
        states = self.zero_states(words.shape[1])

        def run():
            outputs, finals = self.read(words, states)
            return functional.log_softmax(self.logits(outputs[-1]), -1).numpy(), finals

        return self._timed(run)

    def generate(self, index):
        words = self._words(index)[:2]
        generator = torch.Generator().manual_seed(index)

        def run():
            outputs, states = self.read(words, self.zero_states(words.shape[1]))
            written = []
            for _ in range(self.workload.timesteps):
                drawn = _drawn(self.logits(outputs[-1]), generator)
                written.append(drawn)
                outputs, states = self.read(drawn[None], states)
            return torch.stack(written).tolist()

        return self._timed(run)


def _drawn(logits, generator):
    """A word of the 20 likeliest, within those that have 0.9 together."""
    values, ids = logits.topk(20)
    probabilities = values.softmax(-1)
    before = probabilities.cumsum(-1) - probabilities
    probabilities = torch.where(before < 0.9, probabilities, 0.0)
    choice = torch.multinomial(probabilities, 1, generator=generator)
    return ids.gather(-1, choice)[:, 0]
