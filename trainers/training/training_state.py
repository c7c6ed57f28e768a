"""The state of a run: everything the next step depends on, saved as one checkpoint."""

import dataclasses

import tensorflow as tf

from awd_keras.optimizers.non_monotonic_trigger import NonMonotonicTrigger
from trainers.errors import UserError
from trainers.training.checkpoint import (
    read_checkpoint,
    restore_variables,
    weights_by_name,
    write_checkpoint,
)


@dataclasses.dataclass
class TrainingState:
    """The position of a run and what it carries along, besides the variables.

    Masks, window lengths and the order of the text are functions of (seed, epoch, step), so there
    is no random state to save.
    """

    carried: list  # LSTM states for the next window, [[h, c]] * num_layers
    trigger: NonMonotonicTrigger  # once averaging has started, it decides when to stop
    epoch: int = 0  # epochs completed
    position: int = 0  # time steps of the text completed in the current epoch
    step: int = 0  # updates made
    tokens: int = 0  # tokens trained on
    loss_sum: float = 0.0  # nats over the tokens since the last validation
    loss_tokens: int = 0  # number of these tokens
    validated_at_step: int = 0  # step of the last logged validation
    best_loss: float | None = None  # smallest loss of a logged validation
    triggered_at_step: int | None = None  # step at which averaging started
    num_reductions: int = 0  # how often the trigger reduced the learning rate
    stopped_at_step: int | None = None  # step at which the trigger ended the run
    seconds: float = 0.0  # time spent in training, for display only

    @classmethod
    def initial(cls, model, config):
        """Returns the state of a run before its first step."""
        interval = 0 if config.trigger == "monotonic" else config.non_monotone_interval
        return cls(model.initial_state(config.batch_size), NonMonotonicTrigger(interval))

    def save(self, path, model, optimizer):
        """Writes a checkpoint from which training resumes bit for bit."""
        variables = {**weights_by_name(model), **_slots_by_name(optimizer)}
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
        """Restores what `save` wrote, with the variables of the model and the optimizer.

        Raises:
            UserError: If the file is corrupt or belongs to another model.
        """
        arrays, facts = read_checkpoint(path)
        zeros = model.initial_state(config.batch_size)
        flat = tf.nest.flatten(zeros)
        carried = {f"carried/{index}": tf.Variable(zero) for index, zero in enumerate(flat)}
        try:
            trigger = NonMonotonicTrigger(facts["trigger"]["non_monotone_interval"])
            trigger.set_state(facts["trigger"])
            state = cls(carried=zeros, trigger=trigger, **facts["state"])
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(f"The checkpoint {path} cannot be resumed: {error!r}.") from error
        variables = {**weights_by_name(model), **_slots_by_name(optimizer), **carried}
        restore_variables(variables, arrays, path)
        flat = [tf.convert_to_tensor(variable) for variable in carried.values()]
        state.carried = tf.nest.pack_sequence_as(zeros, flat)
        return state


def _slots_by_name(optimizer):
    # Keras's names of optimizer variables may repeat; their order is fixed.
    return {f"optimizer/{i:04d}": variable for i, variable in enumerate(optimizer.variables)}
