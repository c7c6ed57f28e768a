"""Run folders with weights, for the commands that use a trained run."""

import json

import numpy as np

from awd_keras.data import Corpus, Vocabulary
from tests.trainers.training.tiny import make_config, make_texts
from trainers.training import RunFolder, factory
from trainers.training.checkpoint import save_weights


def make_run(path, data_dir=None, words="<unk> café", scale=0.5, **changes):
    """Makes a run folder with random weights, as if it had been trained.

    Args:
        path: The folder.
        data_dir: A folder for the texts of the run. Defaults to none.
        words: A line added to the training text.
        scale: Standard deviation of the weights.
        **changes: Settings.

    Returns:
        A tuple `(model, vocabulary)`.
    """
    texts = make_texts()
    texts["train"].append(words)
    if data_dir is not None:
        data_dir.mkdir()
        for split, name in (("train", "train"), ("validation", "valid"), ("test", "test")):
            (data_dir / f"{name}.txt").write_text("\n".join(texts[split]) + "\n", "utf-8")
        changes["data_dir"] = str(data_dir)
    corpus = Corpus.from_texts("text", texts)
    config = make_config(**changes)
    model = factory.build_model(config, len(corpus.vocabulary))
    for index, variable in enumerate(model.weights):
        values = np.random.default_rng(index).normal(scale=scale, size=variable.shape)
        variable.assign(values.astype("float32"))
    folder = RunFolder(path)
    folder.begin(config, corpus)
    validation = {"total_loss": 3.0, "num_tokens": 1}
    save_weights(folder.best_checkpoint, model, {"step": 0, "validation": validation})
    return model, corpus.vocabulary


def replace_facts(workdir, **facts):
    """Changes facts about the corpus in the record of a run; `None` removes one."""
    file = RunFolder(workdir).record_file
    content = json.loads(file.read_text())
    changed = {**content["corpus"], **facts}
    content["corpus"] = {name: fact for name, fact in changed.items() if fact is not None}
    file.write_text(json.dumps(content))


def replace_words(workdir, words):
    """Replaces the vocabulary of a run by another one of the same size."""
    vocabulary = Vocabulary(words)
    vocabulary.save(RunFolder(workdir).vocabulary_file)
    replace_facts(workdir, vocabulary_digest=vocabulary.digest)
