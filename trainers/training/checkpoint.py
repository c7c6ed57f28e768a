"""Checkpoints: the weights of a model, or the whole state of a run, in one file.

A checkpoint is a NumPy archive of arrays and facts, replaced atomically. It is never unpickled, and
its checksums reveal corruption.
"""

import dataclasses
import json
import pathlib

import numpy as np
import tensorflow as tf

from awd_keras.atomic_write import atomic_write
from awd_keras.optimizers.non_monotonic_trigger import NonMonotonicTrigger
from trainers.errors import UserError
from trainers.training.records import check_form

FORMAT_VERSION = 1
_FACTS = "facts.json"


def write_checkpoint(path, arrays, facts):
    """Writes a dictionary of arrays and a JSON-serializable dictionary of facts."""
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"format_version": FORMAT_VERSION, **facts})
    with atomic_write(path, "wb") as file:
        np.savez(file, **arrays, **{_FACTS: np.frombuffer(text.encode(), np.uint8)})


def read_checkpoint(path, advice=""):
    """Returns the `(arrays, facts)` of a checkpoint; raises `UserError` if it is corrupt."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        facts = json.loads(arrays.pop(_FACTS).tobytes().decode())
        version = facts.get("format_version")
    except FileNotFoundError:
        raise UserError(f"There is no checkpoint {path}.") from None
    except Exception as error:  # a damaged file makes NumPy and zipfile raise nearly anything
        message = f"The checkpoint {path} cannot be read or is corrupt ({error!r}). {advice}"
        raise UserError(message.rstrip()) from error
    if version != FORMAT_VERSION:
        raise UserError(f"The checkpoint {path} has format {version}, expected {FORMAT_VERSION}.")
    return arrays, facts


def restore_variables(variables, arrays, path):
    """Assigns arrays to the variables of the same names, or raises `UserError` and assigns none."""
    for name, variable in variables.items():
        shape = arrays[name].shape if name in arrays else "none"
        if shape != tuple(variable.shape):
            raise UserError(
                f"{name} in {path} must have shape {tuple(variable.shape)}. Received: {shape}"
            )
    for name, variable in variables.items():
        variable.assign(arrays[name])


def weights_by_name(model):
    """Returns a model's weights by their names in checkpoints, such as `weights/lstm_0/kernel`."""
    paths = {variable.path.replace("/lstm_cell/", "/"): variable for variable in model.weights}
    return {f"weights/{path}": variable for path, variable in paths.items()}


def save_weights(path, model, facts):
    """Writes a checkpoint of the current weights."""
    arrays = {name: variable.numpy() for name, variable in weights_by_name(model).items()}
    write_checkpoint(path, arrays, facts)


@dataclasses.dataclass
class TrainingState:
    """The position and carried state of a run, apart from the variables.

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
    num_reductions: int = 0  # how many times the trigger reduced the learning rate
    stopped_at_step: int | None = None  # step at which the trigger ended the run
    seconds: float = 0.0  # time spent in training, for display only

    @classmethod
    def initial(cls, model, config):
        """Returns the state of a run before its first step."""
        interval = 0 if config.trigger == "monotonic" else config.non_monotone_interval
        return cls(model.initial_state(config.batch_size), NonMonotonicTrigger(interval))

    def save(self, path, model, optimizer):
        """Writes a checkpoint from which training resumes bit for bit."""
        variables = _variables_by_name(model, optimizer, self.carried)
        facts = {k: v for k, v in vars(self).items() if k not in ("carried", "trigger")}
        arrays = {name: variable.numpy() for name, variable in variables.items()}
        write_checkpoint(path, arrays, {"state": facts, "trigger": self.trigger.get_state()})

    @classmethod
    def load(cls, path, model, optimizer, config):
        """Restores a checkpoint, with the variables of the model and the optimizer."""
        advice = "Restore it from a copy, or choose another folder."
        arrays, facts = read_checkpoint(path, advice)
        carried = tf.nest.map_structure(tf.Variable, model.initial_state(config.batch_size))
        try:
            trigger = NonMonotonicTrigger(facts["trigger"]["non_monotone_interval"])
            trigger.set_state(facts["trigger"])
            kinds = {field.name: field.type for field in dataclasses.fields(cls)}
            check_form(facts["state"], {name: kinds[name] for name in facts["state"]})
            state = cls(carried, trigger, **facts["state"])
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(f"The checkpoint {path} cannot be resumed: {error!r}.") from error
        restore_variables(_variables_by_name(model, optimizer, carried), arrays, path)
        state.carried = tf.nest.map_structure(tf.convert_to_tensor, carried)
        return state


def _variables_by_name(model, optimizer, carried):
    # Keras's names of optimizer variables may repeat; their order is fixed.
    slots = {f"optimizer/{i:04d}": variable for i, variable in enumerate(optimizer.variables)}
    states = {f"carried/{i}": tensor for i, tensor in enumerate(tf.nest.flatten(carried))}
    return {**weights_by_name(model), **slots, **states}
