"""Learning rate and momentum of a step, as functions of the settings and the `TrainingState`.

A resumed run therefore uses those of an uninterrupted run, and nothing else needs to be saved.
"""

import math


def learning_rate(config, state, steps_per_epoch):
    """Returns the learning rate of a window of length bptt.

    One cycle is the policy of Smith (2018), with half cosines; cosine is that of Loshchilov and
    Hutter (2017), without restarts.
    """
    rate = config.learning_rate
    final = rate / config.final_div_factor
    progress = _progress(config, state, steps_per_epoch)
    if config.learning_rate_schedule == "one_cycle":
        rate = _cycle(progress, config.warmup_fraction, rate / config.div_factor, rate, final)
    elif config.learning_rate_schedule == "cosine":
        rate = _half_cosine(progress, rate, final)
    drops = sum(state.epoch >= drop for drop in config.learning_rate_drop_epochs)
    return rate * 0.1**drops / config.learning_rate_reduction**state.num_reductions


def momentum(config, state, steps_per_epoch):
    """Returns the momentum of a step of one_cycle: smallest where the learning rate is largest."""
    progress = _progress(config, state, steps_per_epoch)
    high, low = config.momentum, config.momentum_min
    return _cycle(progress, config.warmup_fraction, high, low, high)


def _progress(config, state, steps_per_epoch):
    if config.schedule_length is None:
        return 0.0
    done = state.epoch * steps_per_epoch + state.position
    return min(1.0, done / (config.schedule_length * steps_per_epoch))


def _cycle(progress, warmup_fraction, start, middle, end):
    if progress < warmup_fraction:
        return _half_cosine(progress / warmup_fraction, start, middle)
    return _half_cosine((progress - warmup_fraction) / (1 - warmup_fraction), middle, end)


def _half_cosine(fraction, start, end):
    # Exact at both ends, where the cosine would be rounded.
    if fraction <= 0:
        return start
    if fraction >= 1:
        return end
    return end + (start - end) * (1 + math.cos(math.pi * fraction)) / 2
