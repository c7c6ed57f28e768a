"""What the layers share that are given an embedding of somebody else's."""

import keras


def validated_embedding(embedding):
    """Checks that a layer was given an embedding.

    Args:
        embedding: the argument.

    Returns:
        the argument.

    Raises:
        ValueError: if it is not a `keras.layers.Embedding`.
    """
    if not isinstance(embedding, keras.layers.Embedding):
        raise ValueError(
            "`embedding` must be a keras.layers.Embedding, whose matrix is used in place. "
            f"Received: embedding={embedding!r}"
        )
    return embedding


def serialize_shared(layer):
    """Serializes a layer so that all who share it share it again after loading.

    Keras marks an object as shared when it serializes it for the second time, in a copy that the
    first owner's configuration no longer holds. Serializing twice marks it for every owner.
    """
    keras.saving.serialize_keras_object(layer)
    return keras.saving.serialize_keras_object(layer)
