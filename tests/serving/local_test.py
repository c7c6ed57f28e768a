"""Tests of the command that serves a model, as a user types it."""

import functools
import os
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request

import pytest
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from serving.client import Client
from tests.serving.conftest import ROOT, started
from tests.trainers.in_process import assert_one_line, run_command


@pytest.fixture
def run(capfd, model_folder):
    """The command in this process, for what ends before it serves; TensorFlow has started."""
    return functools.partial(run_command, capfd, "serving.local", "--port=0", "--rest_api_port=0")


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_it_says_what_it_is_and_ends_cleanly(model_folder, end):
    with started(f"--model={model_folder.parent}", "--model_name=lm") as (process, said):
        assert "Not TF-Serving: no batching, no version policies, no scaling." in said
        assert "model lm, version 1" in said
        grpc, rest = (line.split()[1] for line in said.splitlines()[-2:])
        for address in (grpc, rest.partition("/v1/")[0]):
            assert "127.0.0.1" in address
            with Client(address, "lm") as client:
                assert client.score(["w1"])[0].num_tokens == 2
        assert urllib.request.urlopen(rest).status == 200
        process.send_signal(end)
        rest_of_stdout, stderr = process.communicate(timeout=30)
    assert (process.returncode, rest_of_stdout, stderr) == (0, "", "ended\n")


def test_warm_up_requests_are_made(run, model_folder, tmp_path):
    shutil.copytree(model_folder, tmp_path / "tiny")
    folder = tmp_path / "tiny" / "1" / "assets.extra"
    logs = []
    for text in ("w1", "w2"):
        log = prediction_log_pb2.PredictionLog()
        request = log.predict_log.request
        request.model_spec.signature_name = "score"
        request.inputs["text"].CopyFrom(tf.make_tensor_proto([text]))
        logs.append(log)

    def write():
        with tf.io.TFRecordWriter(str(folder / "tf_serving_warmup_requests")) as writer:
            for log in logs:
                writer.write(log.SerializeToString())

    write()
    with started(f"--model={tmp_path}") as (_, said):
        assert "2 warm-up requests" in said
    logs[1].predict_log.request.model_spec.signature_name = "explain"
    write()
    ended = run(f"--model={tmp_path}")
    assert_one_line(ended, "warm-up request 2 of ")
    (folder / "tf_serving_warmup_requests").write_bytes(b"no records" * 10)
    ended = run(f"--model={tmp_path}")
    assert_one_line(ended, "DATA_LOSS: ")


class TestBadInput:
    def test_folders_without_a_model(self, run, tmp_path):
        assert_one_line(run("--model="), "--model must be the folder of an export")
        assert_one_line(run(f"--model={tmp_path}"), "is no model: expected <version>/")
        assert_one_line(run(f"--model={tmp_path}", "more"), "expected flags only. Received: more")

    def test_a_damaged_model(self, run, tmp_path):
        (tmp_path / "1").mkdir()
        (tmp_path / "1" / "saved_model.pb").write_bytes(b"?")
        assert_one_line(run(f"--model={tmp_path}"), "cannot be loaded")

    @pytest.mark.parametrize("flag", ["--port", "--rest_api_port"])
    def test_a_port_in_use(self, run, model_folder, flag):
        with socket.socket() as other:
            other.bind(("127.0.0.1", 0))
            other.listen()
            port = other.getsockname()[1]
            assert_one_line(run(f"--model={model_folder}", f"{flag}={port}"), "in use")


def test_ctrl_c_while_it_starts(model_folder):
    command = [sys.executable, "-m", "serving.local", f"--model={model_folder}", "--port=0"]
    with subprocess.Popen(
        command,
        cwd=ROOT,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        try:
            process.communicate(timeout=4)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=60)
    # Where it comes while a string is executed (a dataclass made, as TensorFlow is imported),
    # CPython ends the process by the signal itself; a shell says 130 of that too.
    assert process.returncode in (0, 130, -signal.SIGINT), (stdout, stderr)
    assert "Traceback" not in stderr
