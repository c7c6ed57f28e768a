"""fastai's `AWD_LSTM` and `LinearDecoder` in the training step of `torch_lstm`.

fastai's `Learner` would add callbacks around the same step. AR and TAR are computed as in fastai's
`RNNRegularizer`.
"""

import fastai
import torch
from fastai.text.models.awdlstm import AWD_LSTM
from fastai.text.models.core import LinearDecoder, SequentialRNN

from benchmarks.implementations import torch_lstm


class Implementation(torch_lstm.Implementation):
    """fastai's encoder and decoder, which are batch-major and stateful."""

    def __init__(self, workload):
        super().__init__(workload)
        self.framework = f"fastai {fastai.__version__}, {self.framework}"

    def build_model(self):
        workload = self.workload
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
        self.model = SequentialRNN(encoder, decoder).to(torch_lstm.DEVICE)
        self.model.reset()

    def network(self, words):
        return self.model(words)

    def window(self, index):
        text = torch.tensor(self.workload.text(index), dtype=torch.int64, device=torch_lstm.DEVICE)
        return text[:, :-1].contiguous(), text[:, 1:].contiguous()

    @staticmethod
    def changes(raw):
        return raw[:, 1:] - raw[:, :-1]

    def generate(self, index):
        self.eval()
        with torch.inference_mode(), self._autocast():
            logits = self.network(self.word.t())[0]
        self.word = logits.argmax(-1).t()
        return int(self.word[0, 0])
