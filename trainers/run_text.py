"""The texts of a finished run, and others in its words."""

import dataclasses
import pathlib

import numpy as np

from awd_keras.data import EOS, UNK, load_corpus
from awd_keras.data.text_files import read_lines
from awd_keras.errors import InputError


@dataclasses.dataclass(frozen=True)
class Text:
    """A text in the words of a run.

    Args:
        name: what to call it.
        token_ids: int32 array: its words and an `<eos>` at each line's end.
        num_unknown: how many of them are outside the vocabulary and became `<unk>`. A `<unk>` that
            is written in the text is not among them.
    """

    name: str
    token_ids: np.ndarray
    num_unknown: int


def load_run_corpus(config, facts, vocabulary, data_dir=None):
    """Loads the corpus that a run was trained on.

    Args:
        config: `TrainingConfig` of the run.
        facts: what its config.json says of the corpus, see `RunFolder.read_config`.
        vocabulary: `Vocabulary` of the run.
        data_dir: None for the folder that the run has on record, or where it is now.

    Returns:
        a `Corpus`.

    Raises:
        InputError: if it cannot be loaded, or its words or texts are not those of the run.
    """
    # Imported here, since it brings TensorFlow: --help does not wait for it.
    try:
        corpus = load_corpus(
            config.corpus,
            data_dir or config.data_dir,
            config.max_vocabulary_size,
            config.max_train_tokens,
        )
    except InputError as error:
        problem, found, advice = str(error).partition(" Do one of these:")
        if not found:
            raise
        # Of what is advised only the first: another corpus would not be the run's.
        first = advice.strip().splitlines()[0].strip("- ;")
        problem = " ".join(problem.split())
        raise InputError(f"{problem} Of the run's own texts {first}.") from None
    if corpus.vocabulary != vocabulary:
        raise InputError(
            f"The run was trained on another text than {corpus.source}: its vocabulary has "
            f"{len(vocabulary):,} words (sha256 {vocabulary.digest[:12]}), that of the text "
            f"{len(corpus.vocabulary):,} (sha256 {corpus.vocabulary.digest[:12]}). Name the run's "
            "own text by --data_dir, or any text at all by --data_file."
        )
    # The words are those of the training text: they say nothing of the others, nor of the order.
    recorded, received = facts.get("text_digest"), corpus.digest
    if recorded not in (None, received):
        raise InputError(
            f"The texts of {corpus.source} have the run's words, but one of them is another than "
            f"the run's: expected {_counts(facts.get('num_tokens', {}))} tokens (sha256 "
            f"{recorded[:12]}). Received: {_counts(corpus.token_counts)} tokens (sha256 "
            f"{received[:12]}). Name the run's own texts by --data_dir, or any text at all by "
            "--data_file."
        )
    return corpus


def _counts(num_tokens):
    return ", ".join(f"{count:,} {split}" for split, count in num_tokens.items())


def split_of(corpus, split):
    """A split of a corpus as a `Text`."""
    return Text(split, getattr(corpus, split), corpus.unknown_counts[split])


def read_text(path, vocabulary):
    """Reads a text file in the words of a run.

    Args:
        path: the file, in UTF-8.
        vocabulary: `Vocabulary` of the run.

    Returns:
        a `Text`.

    Raises:
        InputError: if the file cannot be read, has no word, or has words outside a vocabulary
            that has no `<unk>`; or if the vocabulary has no `<eos>`.
    """
    vocabulary.check_compatible(len(vocabulary))
    words = [word for line in read_lines(path) for word in (*line.split(), EOS)]
    try:
        token_ids = vocabulary.encode(words)
    except ValueError as error:
        raise InputError(f"The file {path} cannot be read with this run: {error}") from None
    num_unknown = 0
    if vocabulary.unk_id is not None:
        num_unknown = int(np.count_nonzero(token_ids == vocabulary.unk_id)) - words.count(UNK)
    return Text(pathlib.Path(path).name, token_ids, num_unknown)
