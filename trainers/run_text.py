"""Texts for a trained run: those of its corpus, and any file."""

import numpy as np

from awd_keras.data import EOS, UNK, load_corpus
from awd_keras.data.text_files import read_lines
from trainers.errors import UserError


def load_run_corpus(config, facts, vocabulary, data_dir=None):
    """Loads the corpus that a run was trained on.

    Args:
        config: The `TrainingConfig` of the run.
        facts: The facts about its corpus, as returned by `RunFolder.read_config`.
        vocabulary: The `Vocabulary` of the run.
        data_dir: The folder of the corpus, if it has moved. Defaults to the one that the run read.

    Returns:
        A `Corpus`.

    Raises:
        InputError: If the corpus cannot be loaded.
        UserError: If it is not the text that the run was trained on.
    """
    corpus = load_corpus(
        config.corpus,
        data_dir or config.data_dir,
        config.max_vocabulary_size,
        config.max_train_tokens,
    )
    # Runs imported from other programs have no digest of the text.
    if corpus.vocabulary != vocabulary or facts.get("text_digest") not in (None, corpus.digest):
        expected, received = facts.get("num_tokens"), corpus.token_counts
        raise UserError(
            "Expected the text that the run was trained on, with the numbers of tokens "
            f"{expected}. Received: {corpus.source} with {received}, which differs. Set "
            "--data_dir to the text of the run; `trainers.evaluate --data_file` takes any text."
        )
    return corpus


def read_text(path, vocabulary):
    """Reads a text file in the words of a run.

    Args:
        path: The file, in UTF-8.
        vocabulary: The `Vocabulary` of the run.

    Returns:
        `(token_ids, num_unknown)`: an int32 array with an `<eos>` at the end of each line, and the
        number of words that are not in the vocabulary and became `<unk>`. A literal `<unk>` in the
        text does not count.

    Raises:
        InputError: If the file cannot be read or is empty, or the vocabulary has no `<eos>`, or no
            `<unk>` for a word that it does not contain.
    """
    vocabulary.check_compatible(len(vocabulary))
    words = [word for line in read_lines(path) for word in (*line.split(), EOS)]
    token_ids = vocabulary.encode(words)
    return token_ids, int(np.sum(token_ids == vocabulary.unk_id)) - words.count(UNK)
