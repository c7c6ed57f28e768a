"""Learning rate and momentum of a step, as functions of the settings and the position alone.

A resumed run therefore has those of an unbroken run, and nothing needs to be saved.
"""

import math


def schedule_progress(config, epoch, position, steps_per_epoch):
    """Returns the completed part of the schedule.

    Args:
        config: `TrainingConfig`.
        epoch: Epochs completed.
        position: Time steps of the text completed in the current epoch.
        steps_per_epoch: Time steps of the text in an epoch.

    Returns:
        A float in [0, 1]: 0 for a constant learning rate, 1 after the end of the schedule.
    """
    if config.schedule_length is None:
        return 0.0
    done = epoch * steps_per_epoch + position
    return min(1.0, done / (config.schedule_length * steps_per_epoch))


def learning_rate(config, epoch, progress, num_reductions=0):
    """Returns the learning rate of a window of length bptt.

    One cycle is the policy of Smith (2018), with half cosines; cosine is that of Loshchilov and
    Hutter (2017), without restarts.

    Args:
        config: `TrainingConfig`.
        epoch: Epochs completed.
        progress: As `schedule_progress` returns it.
        num_reductions: How often the trigger reduced the learning rate.
    """
    peak = config.learning_rate
    final = peak / config.final_div_factor
    match config.learning_rate_schedule:
        case "one_cycle":
            start = peak / config.div_factor
            rate = _cycle(progress, config.warmup_fraction, start, peak, final)
        case "cosine":
            rate = _half_cosine(peak, final, progress)
        case _:
            rate = peak
    drops = sum(epoch >= drop for drop in config.learning_rate_drop_epochs)
    return rate * 0.1**drops / config.learning_rate_reduction**num_reductions


def momentum(config, progress):
    """Returns the momentum of a step of one_cycle: smallest where the learning rate is largest.

    Args:
        config: `TrainingConfig` with a `momentum_min`.
        progress: As `schedule_progress` returns it.
    """
    high, low = config.momentum, config.momentum_min
    return _cycle(progress, config.warmup_fraction, high, low, high)


def _cycle(progress, warmup_fraction, start, middle, end):
    if progress < warmup_fraction:
        return _half_cosine(start, middle, progress / warmup_fraction)
    return _half_cosine(middle, end, (progress - warmup_fraction) / (1 - warmup_fraction))


def _half_cosine(start, end, fraction):
    # Exact at both ends, where the cosine would be rounded.
    if fraction <= 0:
        return start
    if fraction >= 1:
        return end
    return end + (start - end) * (1 + math.cos(math.pi * fraction)) / 2
