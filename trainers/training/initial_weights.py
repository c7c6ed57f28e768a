"""Initial weights of a run, for example the weights of another run, matched by word."""

import dataclasses
import warnings

import numpy as np

from trainers.config import TrainingConfig
from trainers.errors import UserError
from trainers.training.checkpoint import restore_variables, weights_by_name
from trainers.training.run_folder import RunFolder

_ARCHITECTURE = [
    field.name
    for field in dataclasses.fields(TrainingConfig)
    if field.metadata["section"] == "Model" and field.name != "dtype"
]


def initialize_weights(config, model, corpus):
    """Sets the weights that a run starts from, and returns lines for the log."""
    if config.initial_run is not None:
        return load_initial_weights(config, model, corpus)
    if config.initial_bias == "unigram":
        set_unigram_bias(model, corpus)
    return []


def load_initial_weights(config, model, corpus):
    """Assigns the best weights of `config.initial_run` to a model.

    If the vocabularies differ, words keep their rows of the embedding and the softmax matrix, and
    their biases. New words start from the mean row and the mean bias.

    Returns:
        Lines for the log: one about the words if the vocabularies differ.

    Raises:
        UserError: If the run cannot be read or has another architecture, or, with
            `config.require_same_vocabulary`, another vocabulary.
    """
    folder = RunFolder(config.initial_run)
    initial = folder.read_config()[0]
    differences = [
        f"{name}: {getattr(initial, name)} -> {getattr(config, name)}"
        for name in _ARCHITECTURE
        if getattr(initial, name) != getattr(config, name)
    ]
    if differences:
        raise UserError(
            f"The run in {folder.path} has another architecture ({', '.join(differences)}). Set "
            "its sizes, or use trainers.finetune, which takes all settings from it."
        )
    old, new = folder.read_vocabulary(), corpus.vocabulary
    if old.tokenizer != new.tokenizer:
        warnings.warn(
            f"The run in {folder.path} was trained with {old.tokenizer}, and this run has "
            f"{new.tokenizer}, so few words may be the same.",
            stacklevel=2,
        )
    variables, arrays = weights_by_name(model), folder.read_best()[0]
    lines = []
    if old.words != new.words:
        if config.require_same_vocabulary:
            raise UserError(
                f"The run in {folder.path} has a different vocabulary from {corpus.name} "
                f"({corpus.source}). Use the text that it was trained on, or omit "
                "--require_same_vocabulary."
            )
        positions = {word: position for position, word in enumerate(old.words)}
        rows = np.array([positions.get(word, -1) for word in new.words])
        by_word = (model.backbone.embedding.embeddings, model.decoder.matrix, model.decoder.bias)
        for name, variable in variables.items():
            if any(variable is other for other in by_word):
                if len(arrays.get(name, ())) != len(old):
                    raise UserError(
                        f"{name} in {folder.best_checkpoint} must have a row for each of the "
                        f"{len(old):,} words of the run. Received: {len(arrays.get(name, ())):,}"
                    )
                arrays[name] = _take_rows(arrays[name], rows)
        num_new = int(np.sum(rows < 0))
        num_kept = len(rows) - num_new
        lines.append(
            f"words: {num_kept:,} of the initial run kept, {num_new:,} new (start from the mean), "
            f"{len(old) - num_kept:,} dropped"
        )
    restore_variables(variables, arrays, folder.best_checkpoint)
    return lines


def set_unigram_bias(model, corpus):
    """Sets the biases of the softmax to the log-frequencies of the words in the training text.

    The model then starts from the unigram distribution instead of the uniform one.
    """
    counts = np.bincount(corpus.train, minlength=len(corpus.vocabulary)) + 1
    model.decoder.bias.assign(np.log(counts).astype("float32"))
    if cutoffs := model.adaptive_softmax_cutoffs:
        clusters = np.add.reduceat(counts, cutoffs)
        model.decoder.tail_bias.assign(np.log(clusters).astype("float32"))


def _take_rows(array, rows):
    """Returns rows of an array by their indices; -1 is the mean row."""
    taken = array[rows]
    taken[rows < 0] = array.mean(axis=0, dtype="float64")
    return taken
