"""The learning rate and the momentum of a step: functions of the settings and the position alone.

So a run that goes on from a checkpoint has those of the unbroken run, and nothing needs saving.
"""

import math


def one_cycle(progress, peak, warmup_fraction=0.3, div_factor=25.0, final_div_factor=1e5):
    """The learning rate of the one-cycle policy (Smith 2018), with two halves of a cosine.

    Args:
        progress: how much of the cycle is over, in [0, 1].
        peak: the largest learning rate.
        warmup_fraction: part of the cycle in which the learning rate rises.
        div_factor: the cycle starts at `peak / div_factor`.
        final_div_factor: it ends at `peak / final_div_factor`.

    Returns:
        the learning rate.

    Example:

    >>> [one_cycle(progress, peak=30.0) for progress in (0.0, 0.3, 1.0)]
    [1.2, 30.0, 0.0003]
    """
    if progress < warmup_fraction:
        return _half_cosine(peak / div_factor, peak, progress / warmup_fraction)
    return cosine((progress - warmup_fraction) / (1 - warmup_fraction), peak, final_div_factor)


def cosine(progress, peak, final_div_factor=1e5):
    """A learning rate that falls along half a cosine (Loshchilov and Hutter 2017, no restarts).

    Args:
        progress: how much is over, in [0, 1].
        peak: the learning rate at the start.
        final_div_factor: it ends at `peak / final_div_factor`.

    Returns:
        the learning rate.

    Example:

    >>> cosine(0.0, peak=30.0), round(cosine(0.5, peak=30.0), 3)
    (30.0, 15.0)
    """
    return _half_cosine(peak, peak / final_div_factor, progress)


def one_cycle_momentum(progress, high, low, warmup_fraction=0.3):
    """The momentum that goes with `one_cycle`: low where the learning rate is high.

    Args:
        progress: how much of the cycle is over, in [0, 1].
        high: momentum at the start and at the end.
        low: momentum where the learning rate is at its peak.
        warmup_fraction: part of the cycle in which the momentum falls.

    Returns:
        the momentum.

    Example:

    >>> [one_cycle_momentum(progress, 0.95, 0.85) for progress in (0.0, 0.3, 1.0)]
    [0.95, 0.85, 0.95]
    """
    if progress < warmup_fraction:
        return _half_cosine(high, low, progress / warmup_fraction)
    return _half_cosine(low, high, (progress - warmup_fraction) / (1 - warmup_fraction))


def schedule_progress(config, epoch, position, steps_per_epoch):
    """How much of its schedule a run has behind it.

    Args:
        config: `TrainingConfig`.
        epoch: epochs completed.
        position: steps of the text completed in the current epoch.
        steps_per_epoch: steps of the text in an epoch.

    Returns:
        a float in [0, 1]; 0 without a schedule. After its end it stays at 1.
    """
    if config.schedule_length is None:
        return 0.0
    done = epoch * steps_per_epoch + position
    return min(1.0, done / (config.schedule_length * steps_per_epoch))


def learning_rate(config, epoch, progress, num_reductions=0):
    """The learning rate of a window of length bptt.

    Args:
        config: `TrainingConfig`.
        epoch: epochs completed.
        progress: as `schedule_progress` returns it.
        num_reductions: how often the trigger reduced the learning rate.

    Returns:
        a float.
    """
    rate = config.learning_rate
    if config.learning_rate_schedule == "one_cycle":
        rate = one_cycle(
            progress, rate, config.warmup_fraction, config.div_factor, config.final_div_factor
        )
    elif config.learning_rate_schedule == "cosine":
        rate = cosine(progress, rate, config.final_div_factor)
    drops = sum(epoch >= drop for drop in config.learning_rate_drop_epochs)
    return rate * 0.1**drops / config.learning_rate_reduction**num_reductions


def momentum(config, progress):
    """The momentum of a step, where the settings have one that changes (`momentum_min`).

    Args:
        config: `TrainingConfig`.
        progress: as `schedule_progress` returns it.

    Returns:
        a float.
    """
    return one_cycle_momentum(
        progress, config.momentum, config.momentum_min, config.warmup_fraction
    )


def _half_cosine(start, end, fraction):
    # Exact at both ends, where rounding of the cosine would show.
    if fraction <= 0:
        return start
    if fraction >= 1:
        return end
    return end + (start - end) * (1 + math.cos(math.pi * fraction)) / 2
