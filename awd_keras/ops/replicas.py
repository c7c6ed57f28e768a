"""Columns of the batch on several replicas, as tf.distribute calls the copies of a model.

Everything random is drawn for the whole batch, and a replica takes its own rows. So a run does
not depend on the number of replicas, but for the order in which numbers are added up.
"""

import tensorflow as tf


def num_replicas():
    """How many replicas share the batch (int); 1 without a strategy, and outside of a replica."""
    context = tf.distribute.get_replica_context()
    return 1 if context is None else context.num_replicas_in_sync


def replica_rows(batch, num_rows=None):
    """The rows of this replica: those of replica 0 come first.

    Args:
        batch: tensor (rows of all replicas, ...).
        num_rows: None, or how many each has.

    Returns:
        tensor (rows, ...); all of it outside of a replica, or where there is one.

    Example:

    >>> replica_rows(tf.constant([1, 2, 3])).numpy().tolist()
    [1, 2, 3]
    """
    if num_replicas() == 1:
        return batch
    context = tf.distribute.get_replica_context()
    if num_rows is None:
        num_rows = tf.shape(batch)[0] // context.num_replicas_in_sync
    start = tf.convert_to_tensor(context.replica_id_in_sync_group) * num_rows
    return batch[start : start + num_rows]


def all_rows(rows):
    """The rows of all replicas: what `replica_rows` took apart.

    Args:
        rows: tensor (rows, ...), with as many rows on each replica.

    Returns:
        tensor (rows of all replicas, ...), equal on all.
    """
    if num_replicas() == 1:
        return rows
    # By a sum, since a gathering has the order of the devices' links, not that of the replicas.
    context = tf.distribute.get_replica_context()
    num_rows = tf.shape(rows)[0]
    start = tf.convert_to_tensor(context.replica_id_in_sync_group) * num_rows
    after = context.num_replicas_in_sync * num_rows - start - num_rows
    whole = tf.pad(rows, [[start, after]] + [[0, 0]] * (rows.shape.rank - 1))
    return context.all_reduce(tf.distribute.ReduceOp.SUM, whole)


def mean_over_replicas(tensors):
    """The means of tensors over the replicas.

    Args:
        tensors: list of tensors, of the same shapes on each replica.

    Returns:
        list of tensors, equal on all.
    """
    if num_replicas() == 1:
        return tensors
    return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.MEAN, tensors)
