"""The weights of another run as the start of a new one (fine-tuning)."""

from trainers.errors import UserError
from trainers.training.run_folder import RunFolder
from trainers.training.training_state import load_weights


def load_initial_weights(path, model, corpus):
    """Gives a model the best weights of a run; nothing in the run's folder changes.

    Args:
        path: the folder of the run.
        model: a model of the run's sizes; its weights are changed.
        corpus: the `Corpus` on which it will be trained.

    Raises:
        UserError: if the folder holds no run, or the run has other words than the corpus.
        UserError: if the run has no best weights yet, or they are a model's of other sizes.
    """
    folder = RunFolder(path)
    if not folder.check():
        raise UserError(f"There is no run in {path} to start from. Train one first.")
    _, facts = folder.read_config()
    if facts.get("vocabulary_digest") != corpus.vocabulary.digest:
        raise UserError(
            f"The run in {path} cannot be gone on with: its words are not those of {corpus.name} "
            f"({corpus.source}), whose vocabulary has {len(corpus.vocabulary):,} words. Take the "
            "text that it was trained on."
        )
    load_weights(folder.best_checkpoint, model)
