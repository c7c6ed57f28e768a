"""`torch_served` under `torch.compile`."""

import torch

from benchmarks.implementations import torch_served


class Implementation(torch_served.Implementation):
    """Compiles the LSTMs and the softmax; the first call with a new shape compiles again."""

    def __init__(self, workload):
        super().__init__(workload)
        self.framework += ", torch.compile"
        self.read = torch.compile(self.read)
        self.logits = torch.compile(self.logits)
