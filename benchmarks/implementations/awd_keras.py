"""This library: the model and the step that `trainers.ptb` trains with."""

import dataclasses
import time

import tensorflow as tf

from awd_keras.models.train_step import make_train_step
from awd_keras.ops.cross_entropy import sequence_cross_entropy
from awd_keras.ops.layout import transposed_ids
from trainers.allocator import keep_freed_memory
from trainers.config import TrainingConfig
from trainers.training import factory


def training_config(workload):
    """The settings of a run that does what a workload says."""
    known = {field.name for field in dataclasses.fields(TrainingConfig)}
    settings = {k: v for k, v in dataclasses.asdict(workload).items() if k in known}
    return TrainingConfig(**settings, bptt=workload.timesteps)


class Implementation:
    """The model and the training step of this library."""

    def __init__(self, workload):
        keep_freed_memory()
        self.framework = f"TensorFlow {tf.__version__}"
        self.workload = workload
        self.config = config = training_config(workload)
        self.model = self.build_model(config)
        self.optimizer = factory.build_optimizer(config, self.model)
        self._step = make_train_step(
            self.model,
            self.optimizer,
            ar_alpha=config.ar_alpha,
            tar_beta=config.tar_beta,
            global_clipnorm=config.global_clipnorm,
            seed=config.seed,
        )
        self._learning_rate = tf.constant(config.learning_rate)
        self._states = self.model.initial_state(workload.batch_size)
        self._word = tf.zeros((workload.batch_size, 1), tf.int32)
        self._forward = tf.function(self._loss, reduce_retracing=True)
        self._next = tf.function(self._next_word)

    def build_model(self, config):
        return factory.build_model(config, self.workload.vocabulary_size)

    def resize(self, index, batch_size, timesteps):
        self.workload = dataclasses.replace(
            self.workload, batch_size=batch_size, timesteps=timesteps
        )
        self._states = self.model.initial_state(batch_size)

    def train_step(self, index):
        text = tf.constant(self.workload.text(index))
        loss, _, self._states = self._step(
            text[:, :-1], text[:, 1:], self._states, self._learning_rate, tf.constant(index)
        )
        return float(loss)

    def evaluate(self, index):
        text = tf.constant(self.workload.text(index))
        loss, self._states = self._forward(text[:, :-1], text[:, 1:], self._states)
        return float(loss)

    def _loss(self, inputs, targets, states):
        _, hidden, states = self.model.backbone(transposed_ids(inputs), states, time_major=True)
        decoder = self.model.decoder
        total, count = sequence_cross_entropy(
            hidden, decoder.matrix, decoder.bias, transposed_ids(targets), training=False
        )
        return total / count, states

    def generate(self, index):
        self._word, self._states = self._next(self._word, self._states)
        return int(self._word[0, 0])

    def _next_word(self, word, states):
        logits, states = self.model(word, states)
        return tf.argmax(logits, axis=-1, output_type=tf.int32), states

    def device_peak(self):
        if not tf.config.list_logical_devices("GPU"):
            return 0.0
        return tf.config.experimental.get_memory_info("GPU:0")["peak"] / 2**20

    def product_seconds(self, size):
        matrix = tf.cast(tf.random.stateless_normal((size, size), (1, 2)), self.workload.dtype)
        product = tf.function(tf.matmul)
        product(matrix, matrix)
        start = time.perf_counter()
        float(product(matrix, matrix)[0, 0])
        return time.perf_counter() - start
