"""The same calls in PyTorch, by `torch.compile`: the recurrent layers and the softmax's product."""

import torch

from benchmarks.implementations import torch_served


class Implementation(torch_served.Implementation):
    """`torch_served` with its two functions compiled; each shape is compiled at its first call."""

    def __init__(self, workload):
        super().__init__(workload)
        self.framework += ", torch.compile"
        self.read = torch.compile(self._read)
        self.logits = torch.compile(self._logits)
