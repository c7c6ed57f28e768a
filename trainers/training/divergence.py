"""Losses on their way from the device, and the end of a run whose loss is no number."""

import math
import time

import numpy as np

from trainers.errors import NonFiniteLossError

# Losses wait so many steps before they are read: on a GPU, reading one waits for its step.
_READ_INTERVAL = 16
# But no longer than this where a step takes long: who watches the run sees no further than they do.
_READ_SECONDS = 1.0


class PendingLosses:
    """Collects the losses of steps, reads them together and adds them to a `TrainingState`.

    Args:
        config: `TrainingConfig`.
        folder: `RunFolder`, for the message.
        by_time: whether losses are also read after a while. Not where several processes must read
            those of the same steps.
    """

    def __init__(self, config, folder, by_time=True):
        self._by_time = by_time
        self._config = config
        self._folder = folder
        self._pending = []
        self._last_read = time.monotonic()
        self.recent = None

    def add(self, state, length, loss, norm):
        """Adds the step that a state is about to count: its loss and gradient norm, tensors.

        Returns:
            True if it is time to read.
        """
        where = (state.step + 1, state.epoch + 1, length, state.position)
        self._pending.append((where, loss, norm))
        if len(self._pending) >= _READ_INTERVAL:
            return True
        return self._by_time and time.monotonic() - self._last_read >= _READ_SECONDS

    def read(self, state):
        """Adds the pending losses to the state's sums.

        Raises:
            NonFiniteLossError: naming the first step whose loss or gradient is no number.
        """
        for (step, epoch, length, position), loss, norm in self._pending:
            loss, norm = float(loss), float(norm)
            if not (math.isfinite(loss) and math.isfinite(norm)):
                raise self.error(
                    f"at step {step:,} (epoch {epoch}, window of {length} tokens at {position}): "
                    f"loss {loss}, gradient norm {norm}"
                )
            tokens = length * self._config.batch_size
            state.loss_sum += loss * tokens
            state.loss_tokens += tokens
            before = loss if self.recent is None else self.recent
            self.recent = before + 0.05 * (loss - before)
        self._pending.clear()
        self._last_read = time.monotonic()

    def check_weights(self, model, state):
        """Looks at the weights: the last step's loss was that of the weights before it.

        Raises:
            NonFiniteLossError: naming a variable that holds something else than numbers.
        """
        for variable in model.weights:
            if not np.all(np.isfinite(variable.numpy())):
                raise self.error(f"by step {state.step:,}: {variable.path} is not finite")

    def error(self, where):
        """The error that says where training diverged, with what settings, and what is left."""
        config, last = self._config, self._folder.last_checkpoint
        kept = f"The last good checkpoint is {last}." if last.exists() else "Nothing was saved yet."
        return NonFiniteLossError(
            f"Training diverged {where}. Settings: optimizer={config.optimizer}, "
            f"learning_rate={config.learning_rate}, global_clipnorm={config.global_clipnorm}, "
            f"dtype={config.dtype}, seed={config.seed}. Try a smaller learning rate. {kept}"
        )
