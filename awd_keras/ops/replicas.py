"""Splitting a batch over the replicas of a `tf.distribute` strategy.

Masks are drawn for the whole batch, and each replica takes its own rows. The result of a run
therefore does not depend on the number of replicas, except for the order of summation.
"""

import tensorflow as tf


def num_replicas():
    """Returns the number of replicas that share the batch: 1 outside of a replica context."""
    context = tf.distribute.get_replica_context()
    return 1 if context is None else context.num_replicas_in_sync


def replica_rows(batch):
    """Returns this replica's equal share of the rows of a batch."""
    if num_replicas() == 1:
        return batch
    num_rows = tf.shape(batch)[0] // num_replicas()
    start = _replica_id() * num_rows
    return batch[start : start + num_rows]


def all_rows(rows):
    """Concatenates the rows of all replicas, on each of them; the inverse of `replica_rows`."""
    if num_replicas() == 1:
        return rows
    # Sum padded rows, since all-gather orders rows by device and not by replica.
    num_rows = tf.shape(rows)[0]
    before = _replica_id() * num_rows
    after = num_replicas() * num_rows - before - num_rows
    padded = tf.pad(rows, [[before, after]] + [[0, 0]] * (rows.shape.rank - 1))
    return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, padded)


def mean_over_replicas(tensors):
    """Averages each tensor of a list over the replicas."""
    if num_replicas() == 1:
        return tensors
    return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.MEAN, tensors)


def _replica_id():
    context = tf.distribute.get_replica_context()
    return tf.convert_to_tensor(context.replica_id_in_sync_group)
