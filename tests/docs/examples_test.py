"""Tests that the Python examples of the README and the guide run."""

import pathlib
import re
import subprocess
import sys

import numpy as np
import pytest

from awd_keras import optimizers

ROOT = pathlib.Path(__file__).absolute().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs" / "guide").glob("*.md"))]
EXAMPLE = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def run_examples(path):
    names = {"__name__": path.stem}
    for code in EXAMPLE.findall(path.read_text(encoding="utf-8")):
        exec(compile(code, str(path), "exec"), names)
    return names


@pytest.mark.parametrize("path", PAGES[1:], ids=lambda path: path.stem)
def test_examples_of_the_guide_run(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run_examples(path)


def test_the_readmes_model_trains_and_is_loaded_after_import_awd_keras(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = run_examples(PAGES[0])["model"]
    words = np.random.default_rng(0).integers(10_000, size=(4, 7))
    inputs, targets = words[:, :-1], words[:, 1:]
    callback = optimizers.NonMonotonicTriggerCallback()
    data = {"validation_data": (inputs, targets), "callbacks": [callback], "verbose": 0}
    history = model.fit(inputs, targets, epochs=2, **data)
    assert np.all(np.isfinite(history.history["val_loss"]))
    with model.optimizer.averaged_weights():
        assert np.isfinite(model.evaluate(inputs, targets, verbose=0))
    model.save("model.keras")
    np.save("inputs.npy", inputs)
    code = """
import awd_keras, keras, numpy
model = keras.saving.load_model("model.keras")
numpy.save("outputs.npy", model.predict(numpy.load("inputs.npy"), verbose=0))
"""
    environment = {"PYTHONPATH": str(ROOT), "PATH": "", "KERAS_BACKEND": "tensorflow"}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)
    expected = model.predict(inputs, verbose=0)
    np.testing.assert_allclose(np.load("outputs.npy"), expected, rtol=1e-5, atol=1e-6)
