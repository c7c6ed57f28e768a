"""`torch.nn.LSTM` with the recurrent matrix masked by `torch.func.functional_call`.

The training recipe of this library, written for speed: one fused kernel per layer, no copies of
weights except the masked matrix, gradients set to None, the tied softmax as one matmul, and the
multi-tensor variants of clipping and SGD. bfloat16 is autocast. It runs on a GPU if there is one,
where float32 matmuls use TF32, as TensorFlow's do.
"""

import os

import torch
from torch import nn
from torch.nn import functional

torch.set_num_threads(len(os.sched_getaffinity(0)))
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
torch.backends.cuda.matmul.allow_tf32 = True
torch.backends.cudnn.allow_tf32 = True


class Implementation(nn.Module):
    """The model and its training step, time-major."""

    def __init__(self, workload):
        super().__init__()
        torch.manual_seed(workload.seed)
        self.framework = f"PyTorch {torch.__version__}"
        self.workload = workload
        self.build_model()
        self.to(DEVICE)
        self.optimizer = torch.optim.SGD(
            self.parameters(),
            lr=workload.learning_rate,
            weight_decay=workload.weight_decay,
            foreach=True,
        )
        self.states = [
            tuple(torch.zeros(1, workload.batch_size, units, device=DEVICE) for _ in "hc")
            for _, units in workload.layer_sizes
        ]
        self.word = torch.zeros(1, workload.batch_size, dtype=torch.int64, device=DEVICE)

    def build_model(self):
        workload = self.workload
        self.embedding = nn.Parameter(
            torch.empty(workload.vocabulary_size, workload.embedding_dim).uniform_(-0.1, 0.1)
        )
        self.bias = nn.Parameter(torch.zeros(workload.vocabulary_size))
        self.lstms = nn.ModuleList(nn.LSTM(*sizes) for sizes in workload.layer_sizes)

    def network(self, words):
        """Returns `(logits, raw, dropped)` of time-major words and updates the states."""
        workload = self.workload
        embedding = self.embedding
        if self.training and workload.embedding_dropout > 0:
            rows = embedding.new_empty(workload.vocabulary_size, 1)
            rows.bernoulli_(1 - workload.embedding_dropout).div_(1 - workload.embedding_dropout)
            embedding = embedding * rows
        x = self._locked_dropout(functional.embedding(words, embedding), workload.input_dropout)
        states = []
        for lstm, state in zip(self.lstms, self.states, strict=True):
            if self.training and workload.weight_dropout > 0:
                weight = functional.dropout(lstm.weight_hh_l0, workload.weight_dropout)
                raw, state = torch.func.functional_call(lstm, {"weight_hh_l0": weight}, (x, state))
            else:
                raw, state = lstm(x, state)
            states.append(tuple(part.detach().float() for part in state))
            is_last = lstm is self.lstms[-1]
            rate = workload.output_dropout if is_last else workload.hidden_dropout
            x = self._locked_dropout(raw, rate)
        self.states = states
        return functional.linear(x, self.embedding, self.bias), raw, x

    def _locked_dropout(self, x, rate):
        if not self.training or rate == 0:
            return x
        mask = x.new_empty(1, *x.shape[1:]).bernoulli_(1 - rate).div_(1 - rate)
        return x * mask

    def window(self, index):
        """Returns the inputs and targets of window `index`, time-major."""
        text = torch.tensor(self.workload.text(index), dtype=torch.int64, device=DEVICE)
        text = text.t().contiguous()
        return text[:-1], text[1:]

    def _autocast(self):
        return torch.autocast(DEVICE, torch.bfloat16, enabled=self.workload.dtype == "bfloat16")

    def train_step(self, index):
        self.train()
        inputs, targets = self.window(index)
        self.optimizer.zero_grad(set_to_none=True)
        with self._autocast():
            logits, raw, dropped = self.network(inputs)
            loss = functional.cross_entropy(logits.flatten(0, 1).float(), targets.flatten())
        raw, dropped = raw.float(), dropped.float()
        objective = loss + self.workload.ar_alpha * dropped.pow(2).mean()
        objective = objective + self.workload.tar_beta * self.changes(raw).pow(2).mean()
        objective.backward()
        nn.utils.clip_grad_norm_(self.parameters(), self.workload.global_clipnorm, foreach=True)
        self.optimizer.step()
        return float(loss.detach())

    @staticmethod
    def changes(raw):
        """Returns the differences between successive time steps."""
        return raw[1:] - raw[:-1]

    @torch.inference_mode()
    def evaluate(self, index):
        self.eval()
        inputs, targets = self.window(index)
        with self._autocast():
            logits, _, _ = self.network(inputs)
            return float(functional.cross_entropy(logits.flatten(0, 1).float(), targets.flatten()))

    @torch.inference_mode()
    def generate(self, index):
        self.eval()
        with self._autocast():
            logits, _, _ = self.network(self.word)
        self.word = logits.argmax(-1)
        return int(self.word[0, 0])
