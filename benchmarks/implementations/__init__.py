"""The implementations that are compared: ours, and peers written as well as we can write them.

Each file that is named below has a class `Implementation(workload)` with

- `framework`: name and version of what computes;
- `train_step(index) -> float`: one window forward and backward, and the update of all weights;
  the loss in nats per word, without the penalties;
- `evaluate(index) -> float`: one window forward, the loss; no dropout, nothing kept for a gradient;
- `generate(index) -> int`: one word in, the most probable next one out, the state carried;
- `device_peak() -> float`: most memory taken on the GPU, MiB; 0 where there is none;
- `product_seconds(size) -> float`: seconds of one square float product in the workload's dtype;
- where its growth is measured, `resize(index, batch_size, timesteps)`: other windows from now on.

(`awd_keras_pieces` and `awd_keras_epoch` take this library apart, `exported` and `torch_served*`
serve: their methods are their own.)

All train by the same recipe: every dropout on, AR and TAR, the global norm clipped, weight decay,
plain SGD. What a peer cannot do is said in its docstring. A file imports its framework and nothing
of this library, so that it runs in an environment of its own.
"""

NAMES = {
    "awd_keras": "this library",
    "keras_lstm": "keras.layers.LSTM, same model and loop",
    "torch_lstm": "torch.nn.LSTM, weight dropped by functional_call",
    "fastai_lstm": "fastai AWD_LSTM",
}
TORCH = ("torch_lstm", "fastai_lstm")
