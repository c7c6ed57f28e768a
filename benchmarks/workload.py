"""The model sizes and input text shared by all implementations."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Workload:
    """A language model and a stream of windows of text.

    The defaults are the paper's sizes for Penn Treebank and the authors' dropout rates.

    Args:
        batch_size: number of rows.
        timesteps: number of words per row.
        vocabulary_size: number of words in the vocabulary.
        embedding_dim: size of the embedding, and number of units of the last LSTM (weights are
            tied).
        hidden_dim: number of units of the other LSTMs.
        num_layers: number of LSTMs.
        dtype: `"float32"` or `"bfloat16"`, the dtype of matmuls. Weights are float32.
        seed: seed of the text, the initial weights and the masks.
    """

    batch_size: int = 20
    timesteps: int = 70
    vocabulary_size: int = 10_000
    embedding_dim: int = 400
    hidden_dim: int = 1150
    num_layers: int = 3
    dtype: str = "float32"
    seed: int = 141
    input_dropout: float = 0.4
    hidden_dropout: float = 0.25
    output_dropout: float = 0.4
    embedding_dropout: float = 0.1
    weight_dropout: float = 0.5
    ar_alpha: float = 2.0
    tar_beta: float = 1.0
    learning_rate: float = 30.0
    global_clipnorm: float = 0.25
    weight_decay: float = 1.2e-6

    @property
    def layer_sizes(self):
        """`(features, units)` of each LSTM."""
        units = [self.hidden_dim] * (self.num_layers - 1) + [self.embedding_dim]
        return list(zip([self.embedding_dim, *units], units, strict=False))

    @property
    def num_tokens(self):
        """Number of words in one window."""
        return self.batch_size * self.timesteps

    def text(self, index):
        """Returns window `index`, an int32 array of shape `(batch_size, timesteps + 1)`.

        Words follow Zipf's law, so that frequent words repeat within a batch as they do in real
        text.
        """
        import numpy as np

        generator = np.random.default_rng((self.seed, index))
        probabilities = 1.0 / np.arange(1, self.vocabulary_size + 1)
        probabilities /= probabilities.sum()
        shape = (self.batch_size, self.timesteps + 1)
        words = generator.choice(self.vocabulary_size, size=shape, p=probabilities)
        return words.astype("int32")
