"""Texts for a trained run: its corpus, or any file."""

from awd_keras.data.text_files import read_lines, warn_of_marks
from trainers.errors import UserError
from trainers.training import factory


def load_run_corpus(folder, data_dir=None):
    """Loads the corpus that a run was trained on.

    Args:
        folder: The `RunFolder` of the run.
        data_dir: The folder of the corpus, if it has moved. Defaults to the one on record.

    Raises:
        UserError: If the corpus is not the text that the run was trained on.
    """
    config, facts = folder.read_config()
    corpus = factory.build_corpus(config, data_dir)
    vocabulary, num_tokens = folder.read_vocabulary(), facts.get("num_tokens")
    if num_tokens is None and corpus.vocabulary != vocabulary:  # imported, without a text
        raise UserError(
            f"The text must have the words of the run, in the same order: {len(vocabulary):,}. "
            f"Received: {corpus.source} with {len(corpus.vocabulary):,} words. Set --data_dir to "
            "the text that the weights were trained on."
        )
    # Imported weights come without a digest of the text.
    is_text = facts.get("text_digest") in (None, corpus.digest)
    if not is_text or corpus.vocabulary != vocabulary:
        raise UserError(
            f"{corpus.source} is not the text that the run was trained on, which has "
            f"{num_tokens} tokens. Received: {corpus.token_counts}. Set --data_dir to the text of "
            "the run."
        )
    return corpus


def read_text(path, vocabulary):
    """Reads any UTF-8 text file as ids of a vocabulary.

    Returns:
        A tuple `(token_ids, num_unknown)`: an int32 array with an `<eos>` at the end of each line,
        and the number of words that are not in the vocabulary, not counting a literal `<unk>`.
    """
    vocabulary.check_compatible(len(vocabulary))
    return vocabulary.encode_lines(warn_of_marks(read_lines(path), path, vocabulary.tokenizer))
