"""An exported folder as a server sees it: without this library, wherever it is put."""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from awd_keras.data import Vocabulary
from awd_keras.errors import InputError
from serving import saved_model
from serving.limits import Limits
from serving.saved_model import FACTS_FILE, export_saved_model
from serving.signatures import SIGNATURES
from serving.warmup import warmup_inputs
from tests.serving.exported import exported, run
from trainers.errors import UserError

# Operations that the servers of TensorFlow 2.19 have, and a CPU: nothing else may be exported.
ALLOWED = set(
    """
AddV2 All Any Assert AssignVariableOp BitwiseAnd BitwiseOr BroadcastTo Cast ConcatV2 Const Cumsum
DisableCopyOnRead Einsum EnsureShape Equal Exp ExpandDims Fill FloorDiv FloorMod GatherNd GatherV2
Greater GreaterEqual HashTableV2 Identity InitializeTableFromTextFileV2 IsFinite LeftShift Less
LessEqual Log LogSoftmax LogicalAnd LogicalNot LogicalOr LookupTableFindV2 MatMul Max Maximum
MergeV2Checkpoints Min Minimum Mul Neg NoOp NotEqual OnesLike Pack Pad PadV2 Placeholder Range
ReadVariableOp RealDiv ReduceJoin Reshape ResourceGather RestoreV2 RightShift SaveV2 ScatterNd
Select SelectV2 Shape ShardedFilename Sigmoid Softmax Split SplitV StatefulPartitionedCall
StatelessIf StatelessRandomUniformFullIntV2 StatelessRandomUniformV2 StatelessWhile
StaticRegexFullMatch StaticRegexReplace StopGradient StridedSlice StringJoin StringLength
StringSplitV2 StringStrip Sub Sum Tanh TensorListFromTensor TensorListGather TensorListGetItem
TensorListReserve TensorListSetItem TensorListStack TensorScatterUpdate TopKV2 Transpose
UnicodeTranscode Unpack UnsortedSegmentSum UpperBound VarHandleOp VarIsInitializedOp Where While
""".split()
)

# Reads {signature: inputs}, writes {signature: outputs}; nothing of ours can be imported.
FRESH_PROCESS = """
import json, sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("awd_keras", "serving", "trainers", "tests"):
            raise ImportError(name + " is refused")

sys.meta_path.insert(0, Refuse())
import tensorflow as tf
loaded = tf.saved_model.load(sys.argv[1])
answers = {}
for name, inputs in json.load(open(sys.argv[2])).items():
    function = loaded.signatures[name]
    specs = function.structured_input_signature[1]
    outputs = function(**{k: tf.constant(v, specs[k].dtype) for k, v in inputs.items()})
    answers[name] = {
        k: [x.decode() for x in v.numpy().ravel()] if v.dtype == tf.string
        else v.numpy().ravel().tolist() for k, v in outputs.items()
    }
json.dump(answers, open(sys.argv[3], "w"))
"""


def requests_of(tiny):
    """A request for each signature, as JSON holds it."""
    requests = {}
    for name in SIGNATURES:
        inputs = warmup_inputs(name, 3, tiny.vocabulary.words, tiny.zero_state(1).shape[1])
        requests[name] = {
            key: [x.decode() for x in value] if value.dtype == object else value.tolist()
            for key, value in inputs.items()
        }
    return requests


def graph_of(path):
    content = (path / "saved_model.pb").read_bytes()
    return saved_model_pb2.SavedModel.FromString(content).meta_graphs[0]


def nodes_of(graph):
    functions = graph.graph_def.library.function
    return [*graph.graph_def.node, *(node for f in functions for node in f.node_def)]


def everything_in(path):
    return {
        str(file.relative_to(path)): file.read_bytes() for file in path.rglob("*") if file.is_file()
    }


class TestFreshProcess:
    def test_two_at_once_give_the_numbers_of_the_model(self, tmp_path):
        """The folder was moved, and the vocabulary file that it was made of is gone."""
        tiny = exported()
        requests = requests_of(tiny)
        path = tmp_path / "elsewhere" / "7"
        shutil.copytree(tiny.export.path, path)
        (tmp_path / "requests.json").write_text(json.dumps(requests))
        script = tmp_path / "fresh.py"
        script.write_text(FRESH_PROCESS)
        env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        answers = [tmp_path / "1.json", tmp_path / "2.json"]
        processes = [
            subprocess.Popen(
                [sys.executable, str(script), str(path), str(tmp_path / "requests.json"), answer],
                cwd="/",
                env=env,
                stderr=subprocess.PIPE,
                text=True,
            )
            for answer in answers
        ]
        for process in processes:
            _, errors = process.communicate(timeout=300)
            assert process.returncode == 0, errors
        received, same = [json.loads(answer.read_text()) for answer in answers]
        assert received == same
        for name, inputs in requests.items():
            for key, value in tiny.call(name, **inputs).items():
                if value.dtype == object:
                    assert received[name][key] == [word.decode() for word in value.ravel()]
                else:
                    np.testing.assert_allclose(received[name][key], value.ravel(), rtol=1e-5)

    def test_no_path_of_the_exporting_machine_is_left(self):
        path = exported().export.path
        content = (path / "saved_model.pb").read_bytes()
        assert b"vocabulary.txt" in content
        places = {pathlib.Path.home(), tempfile.gettempdir(), pathlib.Path(__file__).parents[2]}
        for place in places:
            assert f"{place}/".encode() not in content


def tool(*arguments):
    command = [sys.executable, "-m", "tensorflow.python.tools.saved_model_cli", *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=300, cwd="/")
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


class TestCommandLineTool:
    def test_show(self):
        text = tool("show", "--dir", str(exported().export.path), "--all")
        for name in ("serving_default", *SIGNATURES):
            assert f"signature_def['{name}']" in text
        assert "tensorflow/serving/predict" in text

    def test_run(self):
        tiny = exported()
        text = tool(
            "run",
            "--dir",
            str(tiny.export.path),
            "--tag_set",
            "serve",
            "--signature_def",
            "score",
            "--input_exprs",
            "text=['w1 w2', '']",
        )
        found = tiny.call("score", text=["w1 w2", ""])
        after = text.partition("key log_probability:")[2].replace("[", "").replace("]", "").split()
        np.testing.assert_allclose(list(map(float, after[:2])), found["log_probability"], rtol=1e-5)

    def test_scan(self):
        text = tool("scan", "--dir", str(exported().export.path), "--tag_set", "serve")
        assert "does not contain the default denylisted ops" in text


class TestGraph:
    @pytest.mark.parametrize(("dtype", "weights"), [("float32", None), ("bfloat16", "int8")])
    @pytest.mark.parametrize("tied", [True, False])
    def test_operations_are_those_that_every_server_has(self, dtype, weights, tied):
        graph = graph_of(exported(dtype, weights, tie_weights=tied).export.path)
        assert {node.op for node in nodes_of(graph)} <= ALLOWED
        assert graph.graph_def.versions.min_consumer <= 12
        assert graph.meta_info_def.stripped_default_attrs

    def test_no_device_but_for_reading_the_files(self):
        graph_def = graph_of(exported().export.path).graph_def
        for function in graph_def.library.function:
            name = function.signature.name
            if "traced_save" not in name and "traced_restore" not in name:
                assert not any(node.device for node in function.node_def), name
        assert not any("GPU" in node.device for node in graph_def.node)

    def test_every_input_and_output_begins_with_the_batch(self):
        graph = graph_of(exported().export.path)
        names = set(graph.signature_def) - {"__saved_model_init_op"}
        assert names == {"serving_default", *SIGNATURES}
        for name in names:
            signature = graph.signature_def[name]
            assert signature.method_name == "tensorflow/serving/predict"
            for info in [*signature.inputs.values(), *signature.outputs.values()]:
                dims = info.tensor_shape.dim
                assert dims and dims[0].size == -1 and not info.tensor_shape.unknown_rank

    def test_weights_are_stored_once(self):
        def count(export):
            reader = tf.train.load_checkpoint(str(export.path / "variables" / "variables"))
            shapes = reader.get_variable_to_shape_map()
            sizes = {key: reader.get_variable_to_dtype_map()[key].size for key in shapes}
            del shapes["_CHECKPOINTABLE_OBJECT_GRAPH"]
            assert all(".ATTRIBUTES/VARIABLE_VALUE" in key for key in shapes)
            num_bytes = sum(int(np.prod(shape)) * sizes[key] for key, shape in shapes.items())
            return num_bytes, export.variable_bytes - num_bytes

        num_params = exported().model.count_params()
        num_bytes, rest = count(exported().export)
        assert num_bytes == 4 * num_params
        assert 0 < rest < 4096
        num_bytes, rest = count(exported("float32", "int8").export)
        assert num_bytes < 2 * num_params and 0 < rest < 4096


class TestExport:
    def test_model_and_run_stay_as_they_were(self, tmp_path):
        workdir, model, vocabulary = run()
        files = everything_in(workdir)
        weights = [variable.numpy() for variable in model.weights]
        assert all(np.any(weight) for weight in weights)
        for name in ("int8", None):
            export_saved_model(model, vocabulary, tmp_path, "tiny", weights=name, warmup=False)
        assert everything_in(workdir) == files
        for variable, weight in zip(model.weights, weights, strict=True):
            np.testing.assert_array_equal(variable.numpy(), weight)
        assert len(model.losses) == 0 and model.dtype_policy.name == "float32"

    def test_what_the_folder_holds(self, tmp_path):
        _, model, vocabulary = run()
        limits = Limits(max_batch_size=5)
        export = export_saved_model(
            model,
            vocabulary,
            tmp_path / "models",
            "tiny",
            version=12,
            weights="int8",
            limits=limits,
            facts={"corpus": "letters"},
        )
        assert export.path == tmp_path / "models" / "tiny" / "12"
        assert (export.name, export.version) == ("tiny", 12)
        assert os.listdir(tmp_path / "models" / "tiny") == ["12"]
        assert set(everything_in(export.path)) == {
            "assets.extra/facts.json",
            "assets.extra/tf_serving_warmup_requests",
            "assets/vocabulary.txt",
            "fingerprint.pb",
            "saved_model.pb",
            "variables/variables.data-00000-of-00001",
            "variables/variables.index",
        }
        assert Vocabulary.load(export.path / "assets" / "vocabulary.txt") == vocabulary
        assert export.num_bytes == sum(map(len, everything_in(export.path).values()))
        assert export.num_warmup_requests == len(SIGNATURES)
        facts = json.loads((export.path / FACTS_FILE).read_text("utf-8"))
        assert facts["corpus"] == "letters" and facts["weights"] == "int8"
        assert facts["limits"]["max_batch_size"] == 5
        assert facts["vocabulary_digest"] == vocabulary.digest
        assert facts["state_size"] == exported().zero_state(1).shape[1]

    def test_half_a_version_is_never_seen(self, tmp_path, monkeypatch):
        _, model, vocabulary = run()
        seen = []

        def fail(path, *_):
            assert (path / "saved_model.pb").exists()
            seen.extend(name for name in os.listdir(tmp_path / "tiny") if name.isdecimal())
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(saved_model, "write_warmup", fail)
        with pytest.raises(OSError, match="No space left"):
            export_saved_model(model, vocabulary, tmp_path, "tiny")
        assert not seen and not os.listdir(tmp_path)

    @pytest.mark.parametrize(
        ("arguments", "error", "message"),
        [
            ({"dtype": "float16"}, UserError, "dtype must be one of float32, bfloat16"),
            ({"weights": "bfloat16"}, UserError, "Received: dtype='float32', weights='bfloat16'"),
            ({"weights": "int4"}, UserError, "weights='int4'"),
            ({"name": "a/b"}, UserError, "Received: 'a/b'"),
            ({"version": 0}, UserError, "Received: 0"),
            ({"vocabulary": Vocabulary(["<unk>", "a"])}, InputError, "vocabulary has none"),
            ({"vocabulary": Vocabulary(["<eos>", "a"])}, InputError, "predicts 23 words, the"),
        ],
    )
    def test_what_cannot_be_exported(self, tmp_path, arguments, error, message):
        _, model, vocabulary = run()
        arguments = {"vocabulary": vocabulary, "output": tmp_path, "name": "tiny", **arguments}
        with pytest.raises(error, match=message):
            export_saved_model(model, **arguments)
        assert not os.listdir(tmp_path)

    def test_without_the_package_of_the_server(self, tmp_path, monkeypatch):
        _, model, vocabulary = run()
        monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
        with pytest.raises(UserError, match=r"pip install '\.\[serving\]' in .*--nowarmup"):
            export_saved_model(model, vocabulary, tmp_path, "tiny")
        export = export_saved_model(model, vocabulary, tmp_path, "tiny", warmup=False)
        assert export.num_warmup_requests == 0
        assert not (export.path / "assets.extra" / "tf_serving_warmup_requests").exists()
