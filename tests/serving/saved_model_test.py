"""Exported folders."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow_serving.apis import prediction_log_pb2

from awd_keras.data import Vocabulary
from serving.saved_model import (
    VOCABULARY_FILE,
    WARMUP_FILE,
    existing_versions,
    export_saved_model,
)
from tests.serving.exported import REQUESTS, exported, make_model
from tests.test_case import assert_all_equal, assert_close

# Reads {signature: inputs} and prints {signature: outputs}. The library cannot be imported.
FRESH_PROCESS = """
import json, sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("awd_keras", "serving", "trainers", "tests"):
            raise ImportError(name)

sys.meta_path.insert(0, Refuse())
import tensorflow as tf
loaded = tf.saved_model.load(sys.argv[1])
answers = {}
for name, inputs in json.load(sys.stdin).items():
    function = loaded.signatures[name]
    specs = function.structured_input_signature[1]
    outputs = function(**{k: tf.constant(v, specs[k].dtype) for k, v in inputs.items()})
    answers[name] = {
        k: [text.decode() for text in v.numpy().ravel()] if v.dtype == tf.string
        else v.numpy().tolist() for k, v in outputs.items()
    }
print(json.dumps(answers))
"""


def test_a_fresh_process_needs_nothing_but_the_folder(tmp_path):
    tiny = exported()
    path = tmp_path / "moved" / "7"
    shutil.copytree(tiny.path, path)
    ended = subprocess.run(
        [sys.executable, "-c", FRESH_PROCESS, path],
        input=json.dumps(REQUESTS),
        capture_output=True,
        text=True,
        cwd="/",
    )
    assert ended.returncode == 0, ended.stderr
    for name, outputs in json.loads(ended.stdout).items():
        expected = tiny.call(name, **REQUESTS[name])
        for key, value in outputs.items():
            if expected[key].dtype == object:
                assert value == [text.decode() for text in expected[key].ravel()]
            else:
                assert_close(np.array(value), expected[key], 1e-5)


def test_the_graph_runs_on_every_device():
    content = (exported().path / "saved_model.pb").read_bytes()
    graph = saved_model_pb2.SavedModel.FromString(content).meta_graphs[0].graph_def
    functions = graph.library.function
    nodes = [*graph.node, *(node for function in functions for node in function.node_def)]
    assert not [node for node in nodes if "Cudnn" in node.op or "gpu" in node.device.lower()]
    # Loading a graph with custom gradients logs warnings.
    assert not [node for node in nodes if "_gradient_op_type" in node.attr]


def test_the_model_is_not_changed():
    assert_all_equal(exported().model.weights, make_model()[0].weights)


def test_the_folder(tmp_path):
    tiny = exported()
    assert Vocabulary.load(tiny.path / VOCABULARY_FILE) == tiny.vocabulary
    records = tf.data.TFRecordDataset(str(tiny.path / WARMUP_FILE)).as_numpy_iterator()
    logs = [prediction_log_pb2.PredictionLog.FromString(record) for record in records]
    requests = [log.predict_log.request for log in logs]
    assert {request.model_spec.name for request in requests} == {"tiny"}
    for request in requests:
        inputs = {name: tf.make_ndarray(value) for name, value in request.inputs.items()}
        outputs = tiny.call(request.model_spec.signature_name, **inputs)
        assert {len(value) for value in outputs.values()} == {1}
    names = {request.model_spec.signature_name for request in requests}
    assert names == set(tiny.loaded.signatures)


def test_versions(tmp_path, monkeypatch):
    monkeypatch.setattr(tf.saved_model, "save", lambda *_, **__: None)
    folder = tmp_path / "tiny"
    assert existing_versions(folder) == []
    for name in ("9", "10", "notes"):
        (folder / name).mkdir(parents=True)
    assert export_saved_model(*make_model(), tmp_path, "tiny") == folder / "11"
    assert existing_versions(folder) == [9, 10, 11]


def test_a_failed_export_leaves_nothing(tmp_path, monkeypatch):
    def fail(*_, **__):
        raise OSError("disk full")

    monkeypatch.setattr(tf.saved_model, "save", fail)
    with pytest.raises(OSError, match="disk full"):
        export_saved_model(*make_model(), tmp_path, "tiny")
    assert list((tmp_path / "tiny").iterdir()) == []
