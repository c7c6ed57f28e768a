"""What every implementation is given to do: the sizes, the text, and how much arithmetic it is."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Workload:
    """A language model and one window of text.

    The defaults are the paper's for Penn Treebank, with the authors' rates.

    Args:
        batch_size: columns of the text.
        timesteps: words of a window.
        vocabulary_size: words.
        embedding_dim: columns of the embedding, and units of the last LSTM (tied).
        hidden_dim: units of the other LSTMs.
        num_layers: number of LSTMs.
        dtype: `"float32"` or `"bfloat16"`: of the products; weights are float32.
        seed: of the text and the masks.
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
    def tokens(self):
        return self.batch_size * self.timesteps

    def multiply_adds(self, training):
        """Multiply-adds of the matrix products of one window.

        Args:
            training: whether to count the backward pass, which has two products of the same size
                for each of the forward pass.
        """
        lstm = sum(4 * units * (features + units) for features, units in self.layer_sizes)
        softmax = self.embedding_dim * self.vocabulary_size
        return self.tokens * (lstm + softmax) * (3 if training else 1)

    def text(self, index):
        """Window `index`: int32 array (batch_size, timesteps + 1).

        Words are drawn by Zipf's law, so that embeddings of frequent words are shared as in text.
        """
        import numpy as np

        generator = np.random.default_rng((self.seed, index))
        ranks = np.arange(1, self.vocabulary_size + 1)
        probabilities = 1.0 / ranks
        shape = (self.batch_size, self.timesteps + 1)
        words = generator.choice(
            self.vocabulary_size, size=shape, p=probabilities / probabilities.sum()
        )
        return words.astype("int32")
