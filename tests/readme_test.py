"""The README's Python is run as it stands, and what its comments say works."""

import pathlib
import re

import keras
import numpy as np

from awd_keras import optimizers

README = pathlib.Path(__file__).absolute().parents[1] / "README.md"


def code_blocks():
    text = README.read_text(encoding="utf-8")
    return re.findall(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def test_the_parts_alone_are_a_model_that_trains_and_comes_back(tmp_path):
    (code,) = code_blocks()
    names = {}
    exec(compile(code, str(README), "exec"), names)
    model = names["model"]
    words = np.random.default_rng(0).integers(10_000, size=(4, 7))
    inputs, targets = words[:, :-1], words[:, 1:]
    history = model.fit(
        inputs,
        targets,
        validation_data=(inputs, targets),
        epochs=2,
        verbose=0,
        callbacks=[optimizers.NonMonotonicTriggerCallback()],
    )
    assert np.all(np.isfinite(history.history["val_loss"]))
    model.save(tmp_path / "model.keras")
    revived = keras.saving.load_model(tmp_path / "model.keras")
    expected = model.predict(inputs, verbose=0)
    np.testing.assert_array_equal(revived.predict(inputs, verbose=0), expected)
    with model.optimizer.averaged_weights():
        assert np.isfinite(model.evaluate(inputs, targets, verbose=0))
