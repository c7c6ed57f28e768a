"""AWD-LSTM as KerasTuner sees it: settings in, validation perplexity of the best weights out."""

import tempfile

import keras
import keras_tuner
import tensorflow as tf

from trainers.errors import NonFiniteLossError, UserError
from trainers.search.spaces import SPACES, expand
from trainers.training import factory
from trainers.training.loop import train_and_evaluate
from trainers.training.run_folder import RunFolder

OBJECTIVE = "validation_perplexity"
# What a text can be too short for.
_CUT = ("batch_size", "bptt")


def objective():
    """What a search minimizes: the validation perplexity of the averaged weights."""
    return keras_tuner.Objective(OBJECTIVE, "min")


class AWDLSTMHyperModel(keras_tuner.HyperModel):
    """A language model whose settings KerasTuner chooses.

    Our tuners (`RandomSearch`, `BayesianOptimization`, `Hyperband`) train each trial in a run
    folder of its own and go on inside a trial; with KerasTuner's own tuners a trial is a run in a
    temporary folder.

    Args:
        config: `TrainingConfig`; what is not tuned is as it says.
        vocabulary_size: number of words.
        tune: names of settings and of groups of them, see `SPACES` and `GROUPS`.
        name: None, or a name for KerasTuner.

    Raises:
        UserError: for a name that does not exist.

    Example:

    >>> from trainers.config import TrainingConfig
    >>> config = TrainingConfig(embedding_dim=8, hidden_dim=8, num_layers=1)
    >>> hypermodel = AWDLSTMHyperModel(config, 100, ["learning_rate", "weight_dropout"])
    >>> hyperparameters = keras_tuner.HyperParameters()
    >>> hyperparameters.Fixed("learning_rate", 12.0)
    12.0
    >>> hypermodel.config(hyperparameters).learning_rate
    12.0
    """

    def __init__(self, config, vocabulary_size, tune=("all",), name=None):
        super().__init__(name=name)
        self.base_config = config
        self.vocabulary_size = vocabulary_size
        self.tune = expand(tune)

    def declare_hyperparameters(self, hp):
        """Registers the settings with KerasTuner: `{name: value in hp}`."""
        return {
            name: SPACES[name](self.base_config).declare(hp, name, getattr(self.base_config, name))
            for name in self.tune
        }

    def config(self, hp):
        """The `TrainingConfig` of hyperparameters."""
        return self.base_config.replace(**self.declare_hyperparameters(hp))

    def defaults(self):
        """The settings that the search starts from, by name."""
        return {name: getattr(self.base_config, name) for name in self.tune}

    def build(self, hp):
        """The language model of hyperparameters, an `AWDLSTMLanguageModel`."""
        return factory.build_model(self.config(hp), self.vocabulary_size)

    def fit(self, hp, model, corpus, workdir=None, epochs=None, callbacks=None, **_):
        """Trains a trial, or goes on with it.

        Args:
            hp: `keras_tuner.HyperParameters`.
            model: what `build` returned.
            corpus: `Corpus`.
            workdir: run folder; None for a temporary one.
            epochs: None for those of the settings.
            callbacks: None, or Keras callbacks that are to see the best weights, once, at the end.

        Returns:
            a dictionary with `validation_perplexity`.

        Raises:
            keras_tuner.errors.FailedTrialError: if training diverged, memory was too small, or the
                text is too short for the batch size and the window that the search has chosen.
            UserError: if the text is too short for those that it starts from.
            KeyboardInterrupt: after an interruption; the run was saved.
        """
        config = self.config(hp)
        if epochs is not None:
            config = config.replace(epochs=epochs)
        if workdir is None:
            with tempfile.TemporaryDirectory() as folder:
                return self.fit(hp, model, corpus, folder, epochs, callbacks)
        optimizer = factory.build_optimizer(config, model)
        try:
            result = train_and_evaluate(model, optimizer, corpus, config, RunFolder(workdir))
        except NonFiniteLossError as error:
            raise keras_tuner.errors.FailedTrialError(str(error)) from error
        except UserError as error:
            base = self.base_config
            if all(getattr(config, name) == getattr(base, name) for name in _CUT):
                raise
            raise keras_tuner.errors.FailedTrialError(str(error)) from error
        except tf.errors.ResourceExhaustedError as error:
            raise keras_tuner.errors.FailedTrialError(f"Out of memory: {error.message}") from error
        if result.reason == "interrupted":
            raise KeyboardInterrupt
        logs = {OBJECTIVE: result.validation.perplexity}
        if callbacks:
            # The model has its best weights now: KerasTuner saves them.
            watchers = keras.callbacks.CallbackList(callbacks, model=model)
            watchers.on_train_begin()
            watchers.on_epoch_end(config.epochs - 1, logs)
            watchers.on_train_end()
        return logs
