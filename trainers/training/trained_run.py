"""A run folder made of weights from elsewhere: what evaluates a trained run evaluates them too."""

import json
import os
import shutil

from trainers.errors import UserError
from trainers.training.run_folder import RunFolder, write_beside
from trainers.training.training_state import save_weights


def write_trained_run(workdir, model, vocabulary, config, corpus_name, source):
    """Writes a run folder whose best weights are those of a model.

    The folder appears at once, complete. It has no losses and no results, as nothing was trained.

    Args:
        workdir: the folder, which must be missing or empty.
        model: the model, an `AWDLSTMLanguageModel`.
        vocabulary: its `Vocabulary`.
        config: `TrainingConfig` with the sizes of the model.
        corpus_name: what numbers measured with it are labelled with.
        source: where the weights come from, kept in config.json.

    Returns:
        the `RunFolder`.

    Raises:
        UserError: if the folder holds anything, or vocabulary or settings are another model's.

    Example:

    >>> import tempfile
    >>> from awd_keras import data
    >>> from trainers import config
    >>> from trainers.training import factory
    >>> settings = config.TrainingConfig(embedding_dim=8, hidden_dim=16, num_layers=2)
    >>> vocabulary = data.Vocabulary(["<unk>", "<eos>", "a"])
    >>> model = factory.build_model(settings, len(vocabulary))
    >>> workdir = os.path.join(tempfile.mkdtemp(), "run")
    >>> folder = write_trained_run(workdir, model, vocabulary, settings, "letters", "a file")
    >>> sorted(os.listdir(workdir))
    ['checkpoints', 'config.json', 'vocabulary.txt']
    """
    folder = RunFolder(workdir)
    path = folder.path
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise UserError(
            f"{path} must be a new or empty folder for the weights. Received one that holds "
            "something; nothing was changed."
        )
    backbone = model.backbone
    expected = {"vocabulary_size": backbone.vocabulary_size}
    received = {"vocabulary_size": len(vocabulary)}
    for name in ("embedding_dim", "hidden_dim", "num_layers", "tie_weights"):
        expected[name], received[name] = getattr(backbone, name), getattr(config, name)
    if expected != received:
        raise UserError(
            f"Vocabulary and settings must be those of the model, {expected}. Received: {received}"
        )
    facts = {"name": corpus_name, "vocabulary_digest": vocabulary.digest, "weights_from": source}
    content = {"settings": config.to_dict(), "corpus": facts}
    path = path.resolve()
    beside = RunFolder(path.with_name(f".{path.name}.{os.getpid()}.partial"))
    beside.path.mkdir(parents=True)
    try:
        write_beside(beside.config_file, json.dumps(content, indent=2) + "\n")
        vocabulary.save(beside.vocabulary_file)
        save_weights(beside.best_checkpoint, model, {"step": 0, "weights_from": source})
        # In place of an empty folder too.
        beside.path.replace(path)
    except BaseException:
        shutil.rmtree(beside.path)
        raise
    return folder
