"""Penn Treebank against the curve of the authors' code; it takes hours on a CPU.

AWD_KERAS_PTB names the folder of the three texts; pytest needs --run_slow.
"""

import os
import pathlib

import numpy as np
import pytest

from awd_keras.data import load_corpus
from trainers.presets import preset
from trainers.training import RunFolder, factory, train_and_evaluate

FOLDER = os.environ.get("AWD_KERAS_PTB", "")
SEEDS = (141, 1882)
EPOCHS = 8
# The authors' PyTorch code, one seed: 397, 294, 219, 200, 175, 162, 151, 150; the mean of
# ln(perplexity) over epochs 4 to 8 is 5.117. One seed may jump at this learning rate.
HIGHEST_MEAN = 5.167


@pytest.mark.slow
@pytest.mark.skipif(
    not (FOLDER and pathlib.Path(FOLDER).is_dir()),
    reason="AWD_KERAS_PTB names no folder with Penn Treebank",
)
def test_the_curve_of_the_authors_code(tmp_path):
    corpus = load_corpus("ptb", FOLDER)
    losses = []
    for seed in SEEDS:
        config = preset("ptb_small").config.replace(epochs=EPOCHS, seed=seed)
        config = config.replace(dtype=factory.resolve_dtype(config.dtype)[0])
        folder = RunFolder(tmp_path / str(seed))
        model = factory.build_model(config, len(corpus.vocabulary))
        optimizer = factory.build_optimizer(config, model)
        train_and_evaluate(model, optimizer, corpus, config, folder)
        rows = folder.read_metrics()
        assert [row["epoch"] for row in rows] == [str(epoch + 1) for epoch in range(EPOCHS)]
        losses.append([float(row["validation_loss"]) for row in rows])
    assert np.mean(np.array(losses)[:, 3:]) <= HIGHEST_MEAN, np.exp(losses).round(1).tolist()
