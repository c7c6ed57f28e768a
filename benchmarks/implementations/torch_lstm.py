"""`torch.nn.LSTM` with the recurrent matrix dropped by `torch.func.functional_call`.

The same recipe as this library's, written for speed: one fused kernel a layer, no copies of the
weights besides the masked matrix, gradients set to None, the tied softmax as one product, the
multi-tensor forms of clipping and SGD. bfloat16 is PyTorch's autocast. On a GPU if there is one,
where float32 products take TF32, as TensorFlow's do.
"""

import dataclasses
import os
import time

import torch
from torch import nn
from torch.nn import functional

torch.set_num_threads(len(os.sched_getaffinity(0)))
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
torch.backends.cuda.matmul.allow_tf32 = True
torch.backends.cudnn.allow_tf32 = True


class Implementation(nn.Module):
    """The model, its loss and its step, time-major."""

    def __init__(self, workload):
        super().__init__()
        torch.manual_seed(workload.seed)
        self.framework = f"PyTorch {torch.__version__}"
        self.workload = workload
        self.embedding = nn.Parameter(
            torch.empty(workload.vocabulary_size, workload.embedding_dim).uniform_(-0.1, 0.1)
        )
        self.bias = nn.Parameter(torch.zeros(workload.vocabulary_size))
        self.lstms = nn.ModuleList(
            nn.LSTM(features, units) for features, units in workload.layer_sizes
        )
        self.to(DEVICE)
        self.optimizer = torch.optim.SGD(
            self.parameters(),
            lr=workload.learning_rate,
            weight_decay=workload.weight_decay,
            foreach=True,
        )
        self.states = self.zero_states(self.workload.batch_size)
        self.word = torch.zeros(1, workload.batch_size, dtype=torch.int64, device=DEVICE)

    def zero_states(self, batch_size):
        return [
            tuple(torch.zeros(1, batch_size, units, device=DEVICE) for _ in "hc")
            for _, units in self.workload.layer_sizes
        ]

    def resize(self, index, batch_size, timesteps):
        self.workload = dataclasses.replace(
            self.workload, batch_size=batch_size, timesteps=timesteps
        )
        self.states = self.zero_states(self.workload.batch_size)

    def hidden(self, words, states):
        """Time-major words to `(raw, dropped, states)`."""
        workload = self.workload
        embedding = self.embedding
        if self.training and workload.embedding_dropout > 0:
            rows = embedding.new_empty(workload.vocabulary_size, 1)
            rows.bernoulli_(1 - workload.embedding_dropout).div_(1 - workload.embedding_dropout)
            embedding = embedding * rows
        x = self._locked(functional.embedding(words, embedding), workload.input_dropout)
        last, finals = len(self.lstms) - 1, []
        for index, (lstm, state) in enumerate(zip(self.lstms, states, strict=True)):
            if self.training and workload.weight_dropout > 0:
                weight = functional.dropout(lstm.weight_hh_l0, workload.weight_dropout)
                raw, state = torch.func.functional_call(lstm, {"weight_hh_l0": weight}, (x, state))
            else:
                raw, state = lstm(x, state)
            finals.append(tuple(part.detach().float() for part in state))
            rate = workload.output_dropout if index == last else workload.hidden_dropout
            x = self._locked(raw, rate)
        return raw, x, finals

    def _locked(self, x, rate):
        if not self.training or rate == 0:
            return x
        mask = x.new_empty(1, *x.shape[1:]).bernoulli_(1 - rate).div_(1 - rate)
        return x * mask

    def loss(self, hidden, targets):
        logits = functional.linear(hidden.flatten(0, 1), self.embedding, self.bias)
        return functional.cross_entropy(logits.float(), targets.flatten())

    def _autocast(self):
        return torch.autocast(DEVICE, torch.bfloat16, enabled=self.workload.dtype == "bfloat16")

    def _window(self, index):
        text = torch.tensor(self.workload.text(index), dtype=torch.int64, device=DEVICE)
        text = text.t().contiguous()
        return text[:-1], text[1:]

    def train_step(self, index):
        return self.learn(*self._window(index))

    def learn(self, inputs, targets, rate_scale=1.0):
        """One step of training on a window, time-major: the loss, in nats per token."""
        self.train()
        workload = self.workload
        for group in self.optimizer.param_groups:
            group["lr"] = workload.learning_rate * rate_scale
        self.optimizer.zero_grad(set_to_none=True)
        with self._autocast():
            raw, dropped, self.states = self.hidden(inputs, self.states)
            loss = self.loss(dropped, targets)
        raw, dropped = raw.float(), dropped.float()
        objective = loss + workload.ar_alpha * dropped.pow(2).mean()
        objective = objective + workload.tar_beta * (raw[1:] - raw[:-1]).pow(2).mean()
        objective.backward()
        nn.utils.clip_grad_norm_(self.parameters(), workload.global_clipnorm, foreach=True)
        self.optimizer.step()
        return float(loss.detach())

    def evaluate(self, index):
        return self.measure(*self._window(index))

    @torch.inference_mode()
    def measure(self, inputs, targets):
        """The loss of a window, time-major, in nats per token."""
        self.eval()
        with self._autocast():
            _, hidden, self.states = self.hidden(inputs, self.states)
            return float(self.loss(hidden, targets))

    @torch.inference_mode()
    def generate(self, index):
        self.eval()
        with self._autocast():
            _, hidden, self.states = self.hidden(self.word, self.states)
            logits = functional.linear(hidden, self.embedding, self.bias)
        self.word = logits.argmax(-1)
        return int(self.word[0, 0])

    def device_peak(self):
        return torch.cuda.max_memory_allocated() / 2**20 if torch.cuda.is_available() else 0.0

    def product_seconds(self, size):
        dtype = getattr(torch, self.workload.dtype)
        matrix = torch.randn(size, size, device=DEVICE).to(dtype)
        matrix @ matrix
        start = time.perf_counter()
        float((matrix @ matrix)[0, 0])
        return time.perf_counter() - start
