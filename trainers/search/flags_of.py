"""Settings as command-line flags."""

import dataclasses


def flags_of(config):
    """Returns the flags of a training command that give a `TrainingConfig`.

    Example:

    >>> from trainers.config import TrainingConfig
    >>> flags_of(TrainingConfig(hidden_dim=400, learning_rate_drop_epochs=(3, 5)))
    ['--preset=ptb', '--hidden_dim=400', '--learning_rate_drop_epochs=3,5']
    """
    flags = ["--preset=ptb"]  # whose settings are the defaults
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if value != field.default:
            text = ",".join(map(str, value)) if isinstance(value, tuple) else value
            flags.append(f"--{field.name}={text}")
    return flags
