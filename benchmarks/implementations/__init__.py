"""The implementations to compare: this library, and peers tuned as well as we know how.

Each file has a class `Implementation(workload)` with the attribute `framework` (name and version)
and, for training and evaluation,

- `train_step(index) -> float`: trains on window `index`; returns the loss in nats per word, without
  penalties;
- `evaluate(index) -> float`: the loss of a window, without dropout or gradients;
- `generate(index) -> int`: reads one word and returns the most probable next word, carrying the
  state;

or, for serving, `score`, `next_word`, `step` and `generate`, which return the seconds of one call.

All use the same training recipe: all dropouts, AR and TAR, clipping by the global norm, weight
decay and plain SGD. The docstring of an implementation names exceptions. A peer imports only its
framework, so that it runs in its own environment.
"""

LABELS = {
    "awd_keras": "this library",
    "awd_keras_xla": "this library, --kernel=xla",
    "awd_keras_qrnn": "this library, QRNN of the preset ptb_qrnn",
    "awd_keras_gru": "this library, GRU",
    "awd_keras_adaptive": "this library, adaptive softmax",
    "keras_lstm": "keras.layers.LSTM, same model and loop, no weight dropout",
    "torch_lstm": "torch.nn.LSTM, weight dropped by functional_call",
    "fastai_lstm": "fastai AWD_LSTM",
    "exported": "this library's export",
    "torch_served": "torch.nn.LSTM",
    "torch_served_compiled": "torch.nn.LSTM under torch.compile",
}
TRAINED = ["awd_keras", "keras_lstm", "torch_lstm", "fastai_lstm"]
SERVED = ["exported", "torch_served", "torch_served_compiled"]
TORCH = {"torch_lstm", "fastai_lstm", "torch_served", "torch_served_compiled"}
