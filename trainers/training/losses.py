"""The losses of the training steps, and the error that ends a run whose loss is not finite."""

import math
import time

import numpy as np

from trainers.errors import NonFiniteLossError

# Reading a loss from a GPU waits for its step, so losses are read together: after this many steps,
# or after this many seconds if steps are slow, so that the display stays current.
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
    """Raises `NonFiniteLossError` unless all weights are finite, which no loss shows yet."""
    for variable in model.weights:
        if not np.all(np.isfinite(variable.numpy())):
            raise diverged(config, f"by step {step:,}: {variable.path} is not finite")


def diverged(config, where):
    """Returns the error that says where training diverged, and with which settings."""
    return NonFiniteLossError(
        f"Training diverged {where}. Settings: optimizer={config.optimizer}, "
        f"learning_rate={config.learning_rate}, global_clipnorm={config.global_clipnorm}, "
        f"dtype={config.dtype}, seed={config.seed}. Try a smaller learning rate. The last "
        "checkpoint, if there is one, is from before."
    )
