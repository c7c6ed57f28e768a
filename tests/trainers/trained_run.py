"""A run folder with weights in it, for the commands that work on a trained run."""

import json

import numpy as np

from awd_keras.data import Corpus, Vocabulary
from tests.trainers.training.tiny import make_config, make_texts
from trainers.training import RunFolder, factory
from trainers.training.checkpoint import save_weights


def make_run(path, data_dir=None, words="<unk> café", scale=0.5, **changes):
    """Makes the folder of a run that was trained for no step.

    Args:
        path: the folder.
        data_dir: None, or a folder in which to write the texts, which then are the run's corpus.
        words: a line more at the end of the training text.
        scale: standard deviation of the weights.
        **changes: settings.

    Returns:
        `(model, vocabulary)`.
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
    """Changes what the config.json of a run says of its corpus; None takes a fact away."""
    file = RunFolder(workdir).record_file
    content = json.loads(file.read_text())
    changed = {**content["corpus"], **facts}
    content["corpus"] = {name: fact for name, fact in changed.items() if fact is not None}
    file.write_text(json.dumps(content))


def replace_words(workdir, words):
    """Gives a run other words, as many, for its weights."""
    vocabulary = Vocabulary(words)
    vocabulary.save(RunFolder(workdir).vocabulary_file)
    replace_facts(workdir, vocabulary_digest=vocabulary.digest)
