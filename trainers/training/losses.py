"""Losses of training steps, and the error raised when one is not finite."""

import math
import time

import numpy as np

from trainers.errors import NonFiniteLossError

# Reading a loss from a GPU waits for its step, so several are read at once. The limit in seconds
# keeps the display current when steps are slow.
_READ_INTERVAL = 16
_READ_SECONDS = 1.0


class PendingLosses:
    """Collects the losses of steps, reads them together and adds them to a `TrainingState`."""

    def __init__(self, config):
        self._config = config
        self._pending = []
        self._last_read = time.monotonic()
        self.recent = None

    def add(self, state, length, loss, norm):
        """Adds the loss and the gradient norm of the next step; returns whether to `read` now."""
        where = f"at step {state.step + 1:,} (epoch {state.epoch + 1}, {length} tokens a column)"
        self._pending.append((where, length * self._config.batch_size, loss, norm))
        is_slow = time.monotonic() - self._last_read >= _READ_SECONDS
        return is_slow or len(self._pending) >= _READ_INTERVAL

    def read(self, state):
        """Adds the pending losses to the sums of a state; raises `NonFiniteLossError`."""
        for where, num_tokens, loss, norm in self._pending:
            loss, norm = float(loss), float(norm)
            if not (math.isfinite(loss) and math.isfinite(norm)):
                raise diverged(self._config, f"{where}: loss {loss}, gradient norm {norm}")
            state.loss_sum += loss * num_tokens
            state.loss_tokens += num_tokens
            before = loss if self.recent is None else self.recent
            self.recent = before + 0.05 * (loss - before)
        self._pending.clear()
        self._last_read = time.monotonic()


def check_weights(config, model, step):
    """Raises `NonFiniteLossError` unless all weights are finite."""
    for variable in model.weights:
        if not np.all(np.isfinite(variable.numpy())):
            raise diverged(config, f"by step {step:,}: {variable.path} is not finite")


def diverged(config, where):
    """Returns the error of a run that diverged."""
    return NonFiniteLossError(
        f"Training diverged {where}. Try a smaller learning rate than {config.learning_rate:g}. "
        "The last checkpoint, if there is one, is from before."
    )
