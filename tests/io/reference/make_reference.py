"""Writes the reference files with PyTorch and fastai; see README.md."""

import pathlib

import numpy as np
import safetensors.torch
import torch
from fastai.text.models.awdlstm import AWD_LSTM, awd_lstm_lm_config
from fastai.text.models.core import get_language_model

VOCABULARY, EMBEDDING_DIM, HIDDEN_DIM, NUM_LAYERS = 19, 6, 10, 3
HERE = pathlib.Path(__file__).parent


class WeightDrop(torch.nn.Module):
    """The authors' wrapper at inference: the LSTM uses the raw matrix."""

    def __init__(self, module):
        super().__init__()
        self.module = module
        raw = module.weight_hh_l0
        del module._parameters["weight_hh_l0"]
        module.register_parameter("weight_hh_l0_raw", raw)

    def forward(self, inputs, states):
        self.module.weight_hh_l0 = self.module.weight_hh_l0_raw * 1.0
        return self.module(inputs, states)


class RNNModel(torch.nn.Module):
    """The authors' model without dropout, time-major."""

    def __init__(self, tie_weights):
        super().__init__()
        units = [HIDDEN_DIM] * (NUM_LAYERS - 1) + [EMBEDDING_DIM if tie_weights else HIDDEN_DIM]
        inputs = [EMBEDDING_DIM, *units]
        self.encoder = torch.nn.Embedding(VOCABULARY, EMBEDDING_DIM)
        self.rnns = torch.nn.ModuleList(
            [WeightDrop(torch.nn.LSTM(i, o)) for i, o in zip(inputs, units)]
        )
        self.decoder = torch.nn.Linear(units[-1], VOCABULARY)
        if tie_weights:
            self.decoder.weight = self.encoder.weight

    def forward(self, tokens, states):
        outputs, finals = self.encoder(tokens), []
        for rnn, state in zip(self.rnns, states):
            outputs, final = rnn(outputs, state)
            finals.append(final)
        return self.decoder(outputs), finals


def run_authors(model, windows):
    """Returns the logits of consecutive windows, batch-major."""
    states, logits = [None] * NUM_LAYERS, []
    for window in windows:
        output, states = model(window.T, states)
        logits.append(output.transpose(0, 1))
    return torch.cat(logits, dim=1)


def run_fastai(model, windows):
    """Does the same with fastai's model, which carries the states itself."""
    model.reset()
    return torch.cat([model(window)[0] for window in windows], dim=1)


def main():
    torch.manual_seed(5)
    torch.set_default_dtype(torch.float64)
    sizes = {"emb_sz": EMBEDDING_DIM, "n_hid": HIDDEN_DIM, "n_layers": NUM_LAYERS}
    models = {
        "authors": (RNNModel(tie_weights=True), run_authors),
        "authors_untied": (RNNModel(tie_weights=False), run_authors),
        "fastai": (
            get_language_model(AWD_LSTM, VOCABULARY, {**awd_lstm_lm_config, **sizes}),
            run_fastai,
        ),
    }
    tokens = torch.randint(VOCABULARY, (3, 8))
    vectors = {"tokens": tokens.numpy().astype("int32")}
    for name, (model, run) in models.items():
        for parameter in model.parameters():
            torch.nn.init.uniform_(parameter, -0.8, 0.8)
        # safetensors refuses tensors that share memory.
        state_dict = {key: value.clone() for key, value in model.state_dict().items()}
        safetensors.torch.save_file(state_dict, HERE / f"{name}.safetensors")
        model.double().eval()
        with torch.no_grad():
            vectors[f"{name}/logits"] = run(model, [tokens[:, :5], tokens[:, 5:]]).numpy()
    np.savez(HERE / "logits.npz", **vectors)


if __name__ == "__main__":
    main()
