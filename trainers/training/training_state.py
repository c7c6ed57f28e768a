"""Where a run is: everything that the next step depends on, and how it is saved."""

import dataclasses

import tensorflow as tf

from trainers.errors import UserError
from trainers.training.checkpoint import (
    read_checkpoint,
    restore_variables,
    write_checkpoint,
)


@dataclasses.dataclass
class TrainingState:
    """The position of a run, besides the variables of model and optimizer.

    Windows, masks and the order of the text are functions of (seed, epoch, step), so that this is
    all there is to save.

    Args:
        epoch: epochs completed.
        window: windows completed in the current epoch.
        position: steps of the text completed in the current epoch.
        step: updates made.
        tokens: tokens trained on.
        loss_sum: nats over the tokens since the last validation.
        loss_tokens: the number of those tokens.
        best_loss: smallest validation loss at a validation so far, or None.
        triggered_at_step: step at which averaging was switched on, or None.
        num_reductions: how often the trigger reduced the learning rate.
        stop_test: state of the `NonMonotonicTrigger` that asks whether to stop, or None.
        stopped_at_step: step at which it said so, or None.
        seconds: time spent in training so far; nothing depends on it.
    """

    epoch: int = 0
    window: int = 0
    position: int = 0
    step: int = 0
    tokens: int = 0
    loss_sum: float = 0.0
    loss_tokens: int = 0
    best_loss: float | None = None
    triggered_at_step: int | None = None
    num_reductions: int = 0
    stop_test: dict | None = None
    stopped_at_step: int | None = None
    seconds: float = 0.0


def _named(model, optimizer):
    weights = {variable.path: variable for variable in model.weights}
    # Names of optimizer variables are made up by Keras and may repeat; their order is fixed.
    slots = {f"{index:04d}": variable for index, variable in enumerate(optimizer.variables)}
    return weights, slots


def save_training(path, model, optimizer, trigger, carried, state):
    """Writes a checkpoint from which training goes on bit for bit.

    Args:
        path: the file.
        model: the model.
        optimizer: its optimizer.
        trigger: the `NonMonotonicTrigger`.
        carried: the states carried to the next window, `[[h, c]] * num_layers`.
        state: `TrainingState`.
    """
    weights, slots = _named(model, optimizer)
    arrays = {f"weights/{name}": variable.numpy() for name, variable in weights.items()}
    arrays.update({f"optimizer/{name}": variable.numpy() for name, variable in slots.items()})
    for index, tensor in enumerate(tf.nest.flatten(carried)):
        arrays[f"carried/{index}"] = tensor.numpy()
    facts = {"state": dataclasses.asdict(state), "trigger": trigger.get_state()}
    write_checkpoint(path, arrays, facts)


def load_training(path, model, optimizer, trigger, batch_size):
    """Restores what `save_training` wrote.

    Args:
        path: the file.
        model, optimizer, trigger: objects of the same settings; they are changed.
        batch_size: columns of the text.

    Returns:
        `(carried, state)`.

    Raises:
        UserError: if the file is corrupt or belongs to another model.
    """
    arrays, facts = read_checkpoint(path)
    weights, slots = _named(model, optimizer)
    zeros = model.initial_state(batch_size)
    carried = {str(i): tf.Variable(zero) for i, zero in enumerate(tf.nest.flatten(zeros))}
    variables = {
        **{f"weights/{name}": variable for name, variable in weights.items()},
        **{f"optimizer/{name}": variable for name, variable in slots.items()},
        **{f"carried/{name}": variable for name, variable in carried.items()},
    }
    try:
        state = TrainingState(**facts["state"])
        trigger.set_state(facts["trigger"])
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"The checkpoint {path} is not one to go on from: {error!r}.") from error
    restore_variables(variables, arrays, "", path)
    flat = [tf.convert_to_tensor(variable) for variable in carried.values()]
    return tf.nest.pack_sequence_as(zeros, flat), state


def save_weights(path, model, facts):
    """Writes the weights alone, as they are now.

    Args:
        path: the file.
        model: the model.
        facts: what to know about them, a dictionary that JSON can hold.
    """
    arrays = {f"weights/{variable.path}": variable.numpy() for variable in model.weights}
    write_checkpoint(path, arrays, facts)


def load_weights(path, model):
    """Restores the weights of either kind of checkpoint.

    Args:
        path: the file.
        model: a model of the same sizes; its weights are changed.

    Returns:
        the facts saved with them.

    Raises:
        UserError: if the file is corrupt or belongs to another model.
    """
    arrays, facts = read_checkpoint(path)
    restore_variables({v.path: v for v in model.weights}, arrays, "weights/", path)
    return facts
