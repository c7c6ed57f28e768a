"""The signatures of the export in PyTorch: `torch.nn.LSTM`, the tied softmax as one matmul.

It reads ids, while the export reads text. In bfloat16, the whole model is converted.
"""

import time

import torch
from torch import nn
from torch.nn import functional

from benchmarks.implementations import torch_lstm

_EOS = 1


class Implementation(nn.Module):
    """The model and its calls, which return their seconds without the creation of the inputs."""

    build_model = torch_lstm.Implementation.build_model

    def __init__(self, workload):
        super().__init__()
        torch.manual_seed(workload.seed)
        self.framework = f"PyTorch {torch.__version__}"
        self.workload = workload
        self.build_model()
        self.to(getattr(torch, workload.dtype)).eval()

    def zero_states(self, rows):
        return [
            tuple(torch.zeros(1, rows, units, dtype=self.embedding.dtype) for _ in "hc")
            for _, units in self.workload.layer_sizes
        ]

    def read(self, words, states):
        """Reads time-major words; returns the outputs and states of the LSTMs."""
        x, finals = functional.embedding(words, self.embedding), []
        for lstm, state in zip(self.lstms, states, strict=True):
            x, state = lstm(x, state)
            finals.append(state)
        return x, finals

    def logits(self, x):
        return functional.linear(x, self.embedding, self.bias).float()

    def _words(self, index):
        """Returns time-major words that begin with the end of the previous line."""
        ids = torch.from_numpy(self.workload.text(index)[:, 1:].astype("int64")).t()
        return torch.cat([torch.full((1, ids.shape[1]), _EOS), ids])

    @staticmethod
    def _seconds(call, *inputs):
        start = time.perf_counter()
        with torch.inference_mode():
            call(*inputs)
        return time.perf_counter() - start

    def score(self, index):
        def call(words):
            rows = words.shape[1]
            outputs, _ = self.read(words, self.zero_states(rows))
            targets = torch.cat([words[1:], torch.full((1, rows), _EOS)])
            log_probabilities = functional.log_softmax(self.logits(outputs), -1)
            return log_probabilities.gather(-1, targets[..., None]).sum(0).tolist()

        return self._seconds(call, self._words(index))

    def next_word(self, index):
        def call(words):
            outputs, _ = self.read(words, self.zero_states(words.shape[1]))
            best = functional.log_softmax(self.logits(outputs[-1]), -1).topk(5)
            return best.values.tolist(), best.indices.tolist()

        return self._seconds(call, self._words(index))

    def step(self, index):
        def call(words, states):
            outputs, finals = self.read(words, states)
            return functional.log_softmax(self.logits(outputs[-1]), -1).numpy(), finals

        words = self._words(index)[1:2]
        return self._seconds(call, words, self.zero_states(words.shape[1]))

    def generate(self, index):
        generator = torch.Generator().manual_seed(index)

        def call(words):
            outputs, states = self.read(words, self.zero_states(words.shape[1]))
            sampled = []
            for _ in range(self.workload.timesteps):
                sampled.append(_sample(self.logits(outputs[-1]), generator))
                outputs, states = self.read(sampled[-1][None], states)
            return torch.stack(sampled).tolist()

        return self._seconds(call, self._words(index)[:2])


def _sample(logits, generator):
    """Samples with top_k=20 and top_p=0.9."""
    values, ids = logits.topk(20)
    probabilities = values.softmax(-1)
    before = probabilities.cumsum(-1) - probabilities
    probabilities = torch.where(before < 0.9, probabilities, 0.0)
    choice = torch.multinomial(probabilities, 1, generator=generator)
    return ids.gather(-1, choice)[:, 0]
