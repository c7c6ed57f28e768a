"""The state of a run: everything the next step depends on, saved as one checkpoint."""

import dataclasses

import tensorflow as tf

from awd_keras.optimizers.non_monotonic_trigger import NonMonotonicTrigger
from trainers.errors import UserError
from trainers.training.checkpoint import (
    read_checkpoint,
    restore_variables,
    weight_names,
    write_checkpoint,
)


@dataclasses.dataclass
class TrainingState:
    """The position of a run and what it carries along, besides the variables.

    Masks, window lengths and the order of the text are functions of (seed, epoch, step), so there
    is no random state to save.

    Args:
        carried: LSTM states carried to the next window, `[[h, c]] * num_layers`.
        trigger: The `NonMonotonicTrigger` in effect. Once averaging has started, it decides
            when to stop.
        epoch: Epochs completed.
        position: Time steps of the text completed in the current epoch.
        step: Updates made.
        tokens: Tokens trained on.
        loss_sum: Nats over the tokens since the last validation.
        loss_tokens: Number of these tokens.
        validated_at_step: Step of the last validation.
        best_loss: Smallest validation loss so far, or `None`.
        triggered_at_step: Step at which averaging started, or `None`.
        num_reductions: How often the trigger reduced the learning rate.
        stopped_at_step: Step at which the trigger ended the run, or `None`.
        seconds: Time spent in training so far; for display only.
    """

    carried: list
    trigger: NonMonotonicTrigger
    epoch: int = 0
    position: int = 0
    step: int = 0
    tokens: int = 0
    loss_sum: float = 0.0
    loss_tokens: int = 0
    validated_at_step: int = 0
    best_loss: float | None = None
    triggered_at_step: int | None = None
    num_reductions: int = 0
    stopped_at_step: int | None = None
    seconds: float = 0.0

    @classmethod
    def initial(cls, model, config):
        """Returns the state of a run before its first step."""
        interval = 0 if config.trigger == "monotonic" else config.non_monotone_interval
        return cls(model.initial_state(config.batch_size), NonMonotonicTrigger(interval))

    def save(self, path, model, optimizer):
        """Writes a checkpoint from which training resumes bit for bit.

        Args:
            path: The file.
            model: The model.
            optimizer: Its optimizer.
        """
        variables = {**weight_names(model), **_slot_names(optimizer)}
        arrays = {name: variable.numpy() for name, variable in variables.items()}
        for index, tensor in enumerate(tf.nest.flatten(self.carried)):
            arrays[f"carried/{index}"] = tensor.numpy()
        facts = {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
            if field.name not in ("carried", "trigger")
        }
        write_checkpoint(path, arrays, {"state": facts, "trigger": self.trigger.get_state()})

    @classmethod
    def load(cls, path, model, optimizer, config):
        """Restores what `save` wrote.

        Args:
            path: The file.
            model: The model; its weights are changed.
            optimizer: Its optimizer; its slots are changed.
            config: `TrainingConfig` of the run.

        Returns:
            The `TrainingState`.

        Raises:
            UserError: If the file is corrupt or belongs to another model.
        """
        arrays, facts = read_checkpoint(path)
        zeros = model.initial_state(config.batch_size)
        carried = {
            f"carried/{i}": tf.Variable(zero) for i, zero in enumerate(tf.nest.flatten(zeros))
        }
        try:
            trigger = NonMonotonicTrigger(facts["trigger"]["non_monotone_interval"])
            trigger.set_state(facts["trigger"])
            state = cls(carried=zeros, trigger=trigger, **facts["state"])
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(f"The checkpoint {path} cannot be resumed: {error!r}.") from error
        restore_variables(
            {**weight_names(model), **_slot_names(optimizer), **carried}, arrays, path
        )
        state.carried = tf.nest.pack_sequence_as(
            zeros, [tf.convert_to_tensor(variable) for variable in carried.values()]
        )
        return state


def _slot_names(optimizer):
    # Keras's names of optimizer variables may repeat; their order is fixed.
    return {f"optimizer/{i:04d}": variable for i, variable in enumerate(optimizer.variables)}
