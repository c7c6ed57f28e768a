"""Shared code of layers around an existing embedding."""

import keras


def validated_embedding(embedding):
    """Returns an embedding, or raises a `ValueError` if it is not a `keras.layers.Embedding`."""
    if not isinstance(embedding, keras.layers.Embedding):
        raise ValueError(
            "`embedding` must be a keras.layers.Embedding, whose matrix the layer shares. "
            f"Received: embedding={embedding!r}"
        )
    return embedding


class SharedEmbeddingLayer:
    """Mixin for Keras layers with an `embedding` that other layers may share."""

    def get_config(self):
        # Keras marks an object as shared when it is serialized for the second time. Serializing it
        # twice also marks it in the configuration of its first owner.
        keras.saving.serialize_keras_object(self.embedding)
        embedding = keras.saving.serialize_keras_object(self.embedding)
        return {**super().get_config(), "embedding": embedding}

    @classmethod
    def from_config(cls, config):
        embedding = keras.saving.deserialize_keras_object(config["embedding"])
        return cls(**{**config, "embedding": embedding})
