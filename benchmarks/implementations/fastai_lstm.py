"""fastai's `AWD_LSTM` and `LinearDecoder`, trained by a plain loop.

fastai's own `Learner` adds callbacks around the same step; left out, they cost it nothing. AR and
TAR are computed as its `RNNRegularizer` does.
"""

import torch
from fastai.text.models.awdlstm import AWD_LSTM
from fastai.text.models.core import LinearDecoder, SequentialRNN
from torch import nn
from torch.nn import functional

from benchmarks.implementations import torch_lstm


class Implementation(torch_lstm.Implementation):
    """fastai's encoder and decoder in the step of `torch_lstm`."""

    def __init__(self, workload):
        super().__init__(workload)
        import fastai

        self.framework = f"fastai {fastai.__version__}, {self.framework}"
        del self.embedding, self.bias, self.lstms
        encoder = AWD_LSTM(
            workload.vocabulary_size,
            workload.embedding_dim,
            workload.hidden_dim,
            workload.num_layers,
            pad_token=0,
            hidden_p=workload.hidden_dropout,
            input_p=workload.input_dropout,
            embed_p=workload.embedding_dropout,
            weight_p=workload.weight_dropout,
        )
        decoder = LinearDecoder(
            workload.vocabulary_size,
            workload.embedding_dim,
            workload.output_dropout,
            tie_encoder=encoder.encoder,
        )
        self.network = SequentialRNN(encoder, decoder).to(torch_lstm.DEVICE)
        self.network.reset()
        self.optimizer = torch.optim.SGD(
            self.parameters(),
            lr=workload.learning_rate,
            weight_decay=workload.weight_decay,
            foreach=True,
        )

    def _window(self, index):  # fastai's models are batch-major
        text = torch.tensor(self.workload.text(index), dtype=torch.int64, device=torch_lstm.DEVICE)
        return text[:, :-1].contiguous(), text[:, 1:].contiguous()

    def train_step(self, index):
        self.train()
        inputs, targets = self._window(index)
        self.optimizer.zero_grad(set_to_none=True)
        with self._autocast():
            logits, raw, dropped = self.network(inputs)
            loss = functional.cross_entropy(logits.flatten(0, 1).float(), targets.flatten())
        raw, dropped = raw.float(), dropped.float()
        objective = loss + self.workload.ar_alpha * dropped.pow(2).mean()
        objective = objective + self.workload.tar_beta * (raw[:, 1:] - raw[:, :-1]).pow(2).mean()
        objective.backward()
        nn.utils.clip_grad_norm_(self.parameters(), self.workload.global_clipnorm, foreach=True)
        self.optimizer.step()
        return float(loss.detach())

    @torch.inference_mode()
    def evaluate(self, index):
        self.eval()
        inputs, targets = self._window(index)
        with self._autocast():
            logits = self.network(inputs)[0]
            return float(functional.cross_entropy(logits.flatten(0, 1).float(), targets.flatten()))

    @torch.inference_mode()
    def generate(self, index):
        self.eval()
        with self._autocast():
            logits = self.network(self.word.t())[0]
        self.word = logits.argmax(-1).t()
        return int(self.word[0, 0])
