"""This library: the model and the training step of `trainers.ptb`."""

import dataclasses

import tensorflow as tf

from awd_keras.evaluation import Evaluator
from awd_keras.models.train_step import make_train_step
from trainers.config import TrainingConfig
from trainers.training import factory


class Implementation:
    """The model, training step, evaluator and greedy generation of this library."""

    kernel = "auto"
    changes = {}  # settings that differ from the workload

    def __init__(self, workload):
        self.workload = workload
        known = {field.name for field in dataclasses.fields(TrainingConfig)}
        settings = {name: x for name, x in vars(workload).items() if name in known}
        settings |= self.changes
        config = TrainingConfig(**settings, bptt=workload.timesteps, kernel=self.kernel)
        config, _ = factory.resolve_automatic(config)
        self.framework = f"TensorFlow {tf.__version__}, kernel {config.kernel}"
        self.model = self.build_model(config)
        optimizer = factory.build_optimizer(config, self.model)
        self._train_step = make_train_step(self.model, optimizer, **factory.step_options(config))
        self._learning_rate = tf.constant(config.learning_rate)
        self._window_loss = Evaluator(self.model).constant_step()
        self._next_word = tf.function(self._most_probable_word)
        self._states = self.model.initial_state(workload.batch_size)
        self._word = tf.zeros((workload.batch_size, 1), tf.int32)

    def build_model(self, config):
        return factory.build_model(config, self.workload.vocabulary_size)

    def train_step(self, index):
        text = tf.constant(self.workload.text(index))
        loss, _, self._states = self._train_step(
            text[:, :-1], text[:, 1:], self._states, self._learning_rate, tf.constant(index)
        )
        return float(loss)

    def evaluate(self, index):
        text = tf.constant(self.workload.text(index))
        zeros = self.model.initial_state(self.workload.batch_size)
        total, _ = self._window_loss(text[:, :-1], text[:, 1:], zeros)
        return float(total) / self.workload.num_tokens

    def generate(self, index):
        self._word, self._states = self._next_word(self._word, self._states)
        return int(self._word[0, 0])

    def _most_probable_word(self, word, states):
        logits, states = self.model(word, states)
        return tf.argmax(logits, axis=-1, output_type=tf.int32), states
