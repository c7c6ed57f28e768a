"""The language model: from word ids to logits of the next word."""

import warnings

import keras

from awd_keras.layers.adaptive_tied_decoder import AdaptiveTiedDecoder
from awd_keras.layers.tied_decoder import TiedDecoder
from awd_keras.models.awd_lstm import AWDLSTM
from awd_keras.models.window_training import WindowTraining
from awd_keras.ops.lstm import portable_kernels
from awd_keras.optimizers.nt_asgd import NTASGD


@keras.saving.register_keras_serializable(package="awd_keras")
class AWDLSTMLanguageModel(keras.Model):
    """AWD-LSTM with a softmax over the vocabulary, optionally tied to the embedding.

    Compiled without a loss, the model is trained as in the paper: `fit` takes the windows of
    `Corpus.windows`, carries the state from each window to the next, and does the same arithmetic
    as `trainers.ptb`. Compiled with a loss, it is trained on independent sequences, like any Keras
    model.

    Args:
        vocabulary_size: Number of words.
        embedding_dim, ..., weight_dropout: Arguments of `AWDLSTM`. The defaults are the paper's for
            Penn Treebank, for a model with 24,210,800 parameters.
        seed: Integer or `None` (the default), the seed of the initial weights and of all masks in
            `fit`. With an integer, training is reproducible.
        rnn: `"lstm"` (the default), `"gru"` or `"qrnn"`; see `AWDLSTM`.
        adaptive_softmax_cutoffs: The cutoffs of an `AdaptiveTiedDecoder`, for a large vocabulary
            ordered by frequency, or `()` (the default) for a `TiedDecoder`.
        **kwargs: Arguments of `keras.Model`: `name` and `dtype`.

    As in every subclassed `keras.Model`, files do not save which of its parts are frozen.

    Call arguments:
        token_ids: Integer tensor of shape `(batch_size, timesteps)`.
        states: A list of the states of each layer, as returned by `initial_state`, or `None` (the
            default) for zeros.
        training: Whether to apply dropout. Defaults to False.
        seed: `None` (the default), or an int32 tensor of shape `(2,)` that determines all masks.

    Returns:
        `(logits, states)`: float32 logits of shape `(batch_size, timesteps, vocabulary_size)`, and
        the final states. (`predict` returns the logits alone.)

    Example:

    >>> import numpy as np
    >>> from awd_keras.data import window_dataset
    >>> text = np.arange(200) % 10
    >>> model = AWDLSTMLanguageModel(10, embedding_dim=8, hidden_dim=16, num_layers=2)
    >>> model.compile(NTASGD(keras.optimizers.SGD(30.0)))
    >>> history = model.fit(window_dataset(text, batch_size=4, bptt=10), epochs=2, verbose=0)
    >>> sorted(history.history)
    ['loss', 'perplexity']
    >>> loss, perplexity = model.evaluate(window_dataset(text, batch_size=1), verbose=0)
    >>> model.predict(text[np.newaxis, :5], verbose=0).shape
    (1, 5, 10)
    """

    def __init__(
        self,
        vocabulary_size,
        embedding_dim=400,
        hidden_dim=1150,
        num_layers=3,
        tie_weights=True,
        input_dropout=0.4,
        hidden_dropout=0.3,
        output_dropout=0.4,
        embedding_dropout=0.1,
        weight_dropout=0.5,
        seed=None,
        rnn="lstm",
        adaptive_softmax_cutoffs=(),
        **kwargs,
    ):
        super().__init__(autocast=False, **kwargs)
        # Otherwise `fit` might use XLA, which uses neither cuDNN nor oneDNN.
        self.supports_jit = False
        self.seed = seed
        self.backbone = AWDLSTM(
            vocabulary_size,
            embedding_dim=embedding_dim,
            hidden_dim=hidden_dim,
            num_layers=num_layers,
            tie_weights=tie_weights,
            input_dropout=input_dropout,
            hidden_dropout=hidden_dropout,
            output_dropout=output_dropout,
            embedding_dropout=embedding_dropout,
            weight_dropout=weight_dropout,
            seed=seed,
            rnn=rnn,
            dtype=self.dtype_policy,
            name="backbone",
        )
        if tie_weights:
            softmax_embedding = self.backbone.embedding
        else:
            softmax_embedding = keras.layers.Embedding(
                vocabulary_size,
                self.backbone.output_dim,
                embeddings_initializer=keras.initializers.RandomUniform(
                    -0.1, 0.1, seed=None if seed is None else seed * 1000 + 900
                ),
                dtype=self.dtype_policy,
                name="softmax",
            )
        self.adaptive_softmax_cutoffs = tuple(adaptive_softmax_cutoffs)
        options = {"dtype": self.dtype_policy, "name": "decoder"}
        if self.adaptive_softmax_cutoffs:
            self.decoder = AdaptiveTiedDecoder(
                softmax_embedding, self.adaptive_softmax_cutoffs, **options
            )
        else:
            self.decoder = TiedDecoder(softmax_embedding, **options)
        self.decoder.build((None, None, self.backbone.output_dim))
        self._window_training = None
        self.built = True

    def initial_state(self, batch_size):
        """Returns zero states, a list of tensors for each layer."""
        return self.backbone.initial_state(batch_size)

    def call(self, token_ids, states=None, training=False, seed=None):
        _, dropped, states = self.backbone(token_ids, states, training=training, seed=seed)
        return self.decoder(dropped), states

    def compile(
        self,
        optimizer="rmsprop",
        loss=None,
        *,
        ar_alpha=2.0,
        tar_beta=1.0,
        global_clipnorm=0.25,
        **kwargs,
    ):
        """Configures the model for training.

        Args:
            optimizer: Without a loss, an `NTASGD`; otherwise any Keras optimizer.
            loss: `None` (the default) to train on the windows of a text, as in the paper. Each
                step minimizes the sum of cross-entropy, AR and TAR, clips the gradient, and scales
                the learning rate by the length of its window. With a loss, the model is trained
                like any Keras model, and the next three arguments have no effect.
            ar_alpha: Weight of AR. Defaults to 2, as in the paper.
            tar_beta: Weight of TAR. Defaults to 1, as in the paper.
            global_clipnorm: Maximum global norm of the gradient. Defaults to 0.25, as in the paper.
            **kwargs: Further arguments of `keras.Model.compile`. Metrics require a loss; without
                one, `fit` and `evaluate` report the loss and the perplexity.

        Raises:
            ValueError: If there is no loss, and the optimizer is not an `NTASGD` (under
                `mixed_float16`, Keras wraps it; use `mixed_bfloat16`), its learning rate is not a
                number, it accumulates gradients, there are metrics, or the model was created under
                a strategy with several replicas.
        """
        super().compile(optimizer, loss, **kwargs)
        self._window_settings = {
            "ar_alpha": ar_alpha,
            "tar_beta": tar_beta,
            "global_clipnorm": global_clipnorm,
        }
        self._window_training = None
        if loss is not None:
            return
        if not isinstance(self.optimizer, NTASGD):
            raise ValueError(
                "Without a loss, the optimizer must be an NTASGD, and the dtype policy not "
                f"mixed_float16. Received: optimizer={self.optimizer!r}"
            )
        if not isinstance(self.optimizer.learning_rate, keras.Variable):
            raise ValueError(
                "Without a loss, the learning rate must be a number, which fit scales by the "
                "length of each window. Instead of a schedule, pass a "
                "keras.callbacks.LearningRateScheduler to fit."
            )
        if self.optimizer.optimizer.gradient_accumulation_steps:
            raise ValueError(
                "Without a loss, each window is one step. Received: gradient_accumulation_steps="
                f"{self.optimizer.optimizer.gradient_accumulation_steps}"
            )
        if kwargs.get("metrics") or kwargs.get("weighted_metrics"):
            raise ValueError(
                "Metrics require a loss. Without one, fit and evaluate report the loss and the "
                "perplexity."
            )
        if self.distribute_strategy.num_replicas_in_sync > 1:
            raise ValueError(
                "Without a loss, fit runs on one replica. Use trainers.ptb --strategy for several."
            )
        self.optimizer.build(self.trainable_variables)
        self._window_training = WindowTraining(self, self.optimizer, **self._window_settings)

    def get_compile_config(self):
        config = super().get_compile_config()
        return {**config, **self._window_settings} if config else config

    def compile_from_config(self, config):
        self.compile(**keras.saving.deserialize_keras_object(config))
        self.optimizer.build(self.trainable_variables)

    @property
    def metrics(self):
        return super().metrics if self._window_training is None else [self._window_training.loss]

    def reset_metrics(self):
        """Resets the metrics and the carried state, as at the start of an epoch."""
        super().reset_metrics()
        if self._window_training is not None:
            self._window_training.starting.assign(True)

    def fit(
        self, x=None, y=None, batch_size=None, epochs=1, verbose="auto", callbacks=None, **kwargs
    ):
        """Trains the model; see `keras.Model.fit`.

        Without a loss in `compile`, `x` must be a dataset returned by `Corpus.windows` with
        `bptt`, without further transformations. The windows differ from epoch to epoch.

        Raises:
            ValueError: If there is no loss and `x` is anything else.
        """
        schedule = getattr(x, "schedule", None)
        if schedule is None:
            if self._window_training is not None:
                raise ValueError(
                    "Without a loss in `compile`, fit expects a dataset returned by "
                    "Corpus.windows(split, batch_size, bptt=...), without further "
                    f"transformations. Received: x={x!r}"
                )
            return super().fit(x, y, batch_size, epochs, verbose, callbacks, **kwargs)

        if self._window_training is not None:
            self._window_training.bptt.assign(schedule.bptt)
        # Keras expects as many batches in each epoch as in the first. The number of windows varies,
        # so report the largest number; an epoch ends when its windows run out.
        most = max(len(schedule.lengths(epoch)) for epoch in range(epochs))
        x = x.take(-1)
        x.cardinality = lambda: most
        follow = keras.callbacks.LambdaCallback(
            on_epoch_begin=lambda epoch, logs: setattr(schedule, "epoch", epoch)
        )
        callbacks = [follow, *keras.tree.flatten(callbacks or [])]
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Your input ran out of data")
            kwargs["shuffle"] = False
            return super().fit(x, y, batch_size, epochs, verbose, callbacks, **kwargs)

    def train_step(self, data):
        if self._window_training is None:
            return super().train_step(data)
        inputs, targets, _ = keras.utils.unpack_x_y_sample_weight(data)
        return self._window_training.train(inputs, targets)

    def test_step(self, data):
        if self._window_training is None:
            return super().test_step(data)
        inputs, targets, _ = keras.utils.unpack_x_y_sample_weight(data)
        return self._window_training.test(inputs, targets)

    def predict_step(self, data):
        logits, _ = super().predict_step(data)
        return logits

    def export(self, filepath, format="tf_saved_model", **kwargs):
        """Exports a function from ids to logits; see `keras.Model.export`.

        The exported function starts with a state of zeros. To export a model that takes and returns
        states, use `serving.export`.
        """
        token_ids = keras.Input((None,), dtype="int32", name="token_ids")
        logits, _ = self(token_ids)
        model = keras.Model(token_ids, logits)
        with portable_kernels():
            model(token_ids)  # Keras can export a model to ONNX only after it has been called.
            model.export(filepath, format, **kwargs)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        logits, _ = y_pred
        return super().compute_loss(x, y, logits, sample_weight, training)

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        logits, _ = y_pred
        return super().compute_metrics(x, y, logits, sample_weight)

    def get_config(self):
        config = self.backbone.get_config()
        config.pop("embedding")
        return {
            **config,
            "adaptive_softmax_cutoffs": self.adaptive_softmax_cutoffs,
            "name": self.name,
            "trainable": self.trainable,
        }
