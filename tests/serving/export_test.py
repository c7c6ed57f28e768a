import functools

import tensorflow as tf

from tests.trainers.in_process import assert_one_line, run_command
from tests.trainers.trained_run import make_run


def test_a_run_folder(capfd, tmp_path):
    make_run(tmp_path / "mine")
    export = functools.partial(
        run_command, capfd, "serving.export", f"--workdir={tmp_path}/mine", f"--output={tmp_path}"
    )
    ended = export("--name=words", "--dtype=bfloat16", "--max_k=3")
    assert (ended.code, ended.stderr) == (0, "")
    assert ended.stdout == f"{tmp_path}/words/1: 23 words, bfloat16\n"
    next_word = tf.saved_model.load(str(tmp_path / "words" / "1")).signatures["next_word"]
    assert next_word(text=tf.constant(["w1"]), k=tf.constant([3]))["words"].shape == (1, 3)

    ended = export("--format=litert")
    assert (ended.code, ended.stderr) == (0, "")
    assert ended.stdout == f"{tmp_path}/mine.tflite: 23 words, float32\n"
    assert_one_line(export("--quantize"), "--quantize has no effect without --format=litert")
    ended = export("--format=litert", "--dtype=bfloat16")
    assert_one_line(ended, "--dtype has no effect with --format=litert")
    assert_one_line(export("--name=.."), "--name must be the name of a folder. Received: ..")
