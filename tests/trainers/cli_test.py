"""Tests of the entry point of the commands: help, arguments, errors, warnings, TensorFlow."""

import errno
import importlib
import os
import signal
import subprocess
import sys
import types
import warnings

import pytest
import tensorflow as tf
from absl import flags
from tensorflow.errors import ResourceExhaustedError

from awd_keras.errors import InputError
from tests.trainers.in_process import assert_one_line, run_main
from trainers import cli
from trainers.errors import NonFiniteLossError, UserError

OOM = ResourceExhaustedError(None, None, "{{node x}} OOM with shape[9] on /job:a [Op:Mul] \nhint")
NO_MEMORY = "Not enough memory. Choose smaller sizes, such as --batch_size."
DOC = "Does something.\n\nIt takes a moment."


@pytest.fixture
def call(capfd, monkeypatch):
    """Function that runs a command whose work is a given function."""
    tf.config.list_logical_devices()  # TensorFlow's messages about devices are not the command's

    def run(function, *arguments, define=lambda: None, **options):
        monkeypatch.setitem(sys.modules, "made_up", types.SimpleNamespace(main=function))

        def main():
            define()
            cli.main("made_up", DOC, **options)

        return run_main(capfd, main, *arguments)

    return run


def raising(error):
    def function():
        print("so far")
        raise error

    return function


class TestHelp:
    def define(self):
        flags.DEFINE_string("alone", None, "a flag without a section")
        with cli.section("Model"):
            flags.DEFINE_integer("units", 3, "number of units")
            flags.DEFINE_bool("tied", True, "tie the weights")
        with cli.section("Data"):
            flags.DEFINE_enum("corpus", "ptb", ["ptb", "text"], "the corpus")
        with cli.section("Model"):
            flags.DEFINE_integer("depth", 2, "number of layers")

    def test_flags_are_grouped_in_the_order_of_their_definition(self, call):
        ended = call(lambda: pytest.fail("called"), "--help", define=self.define)
        assert ended.code == 1
        text = ended.stdout
        assert text.startswith(f"{DOC}\n\nFlags:\n")
        assert text.index("  --alone: a flag without a section\n") < text.index("Model:\n")
        assert text[text.index("Model:") :].startswith(
            "Model:\n"
            "  --units: number of units (default: '3')\n"
            "  --[no]tied: tie the weights (default: 'true')\n"
            "  --depth: number of layers (default: '2')\n"
            "\n"
            "Data:\n"
            "  --corpus: <ptb|text>: the corpus (default: 'ptb')\n"
            "\n"
        )

    def test_it_does_not_import_tensorflow(self):
        code = (
            "import sys\n"
            "from trainers import ptb\n"
            "sys.argv = ['ptb', '--help']\n"
            "try:\n"
            "    ptb.main()\n"
            "except SystemExit:\n"
            "    print('tensorflow' in sys.modules or 'numpy' in sys.modules)\n"
        )
        ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert ended.stdout.splitlines()[-1] == "False", ended.stderr


class TestArguments:
    def test_their_number(self, call):
        received = []
        expected = "Expected only flags. Received: a. See --help."
        assert_one_line(call(received.append, "a"), expected)
        assert received == []
        assert call(received.append, "a", max_arguments=1).code == 0
        assert call(lambda *words: received.extend(words), *"bc", max_arguments=None).code == 0
        assert received == ["a", "b", "c"]

    def test_an_unknown_flag(self, call):
        ended = call(lambda: pytest.fail("called"), "--nothing=3")
        assert_one_line(ended, "Unknown command line flag 'nothing'. See --help.")

    def test_a_value_for_a_negated_flag(self, call):
        ended = call(print, "--noplot=no", define=lambda: flags.DEFINE_bool("plot", True, "plot"))
        assert_one_line(ended, "--noplot=no does not take an argument. See --help.")

    def test_a_binary_flagfile(self, call, tmp_path):
        (tmp_path / "flags").write_bytes(b"--plot\xff")
        ended = call(print, f"--flagfile={tmp_path / 'flags'}")
        assert_one_line(ended, "--flagfile must be a text file: 'utf-8' codec can't decode")


class TestValues:
    def define(self):
        flags.DEFINE_string("workdir", None, "a folder")
        flags.DEFINE_multi_string("runs", [], "folders")
        flags.DEFINE_string("server", "localhost:8500", "an address")
        flags.DEFINE_integer("count", 1, "a number")

    @pytest.mark.parametrize(
        "url", ["gs://bucket/run", "s3://b", "hdfs://host:9000/x", "FILE:///x"]
    )
    @pytest.mark.parametrize("name", ["--workdir=", "--runs=a,b --runs=", ""])
    def test_a_place_that_is_not_local(self, call, name, url):
        ended = call(print, *f"{name}{url}".split(), define=self.define, max_arguments=1)
        assert_one_line(ended, f"on this machine. Received: {url}. Mount the storage, for example")

    def test_addresses_and_texts(self, call):
        received = []
        arguments = ["--server=dns://host:8500", "http://x is a word", "~"]
        call(
            lambda *texts: received.extend([flags.FLAGS.server, *texts]),
            *arguments,
            define=self.define,
            max_arguments=None,
        )
        assert received == ["dns://host:8500", *arguments[1:]]

    def test_the_home_folder(self, call, monkeypatch):
        monkeypatch.setenv("HOME", "/home/me")
        received = []
        work = lambda: received.extend([flags.FLAGS.workdir, *flags.FLAGS.runs])  # noqa: E731
        call(work, "--workdir=~/run", "--runs=~", define=self.define)
        assert received == ["/home/me/run", "/home/me"]
        ended = call(work, "--workdir=~nobody-here/run", define=self.define)
        assert_one_line(ended, "--workdir: there is no home folder for ~nobody-here/run.")

    def test_a_path_that_is_not_utf_8(self, call):
        ended = call(print, "--workdir=runs/\udce4", define=self.define)
        assert_one_line(ended, r"--workdir must be valid UTF-8. Received: 'runs/\udce4'")

    @pytest.mark.parametrize("argument", ["--workdir=", "--runs=", ""])
    def test_an_empty_path(self, call, argument):
        ended = call(print, argument, define=self.define, max_arguments=1)
        assert_one_line(ended, "must not be empty")

    def test_an_integer_that_no_computer_holds(self, call):
        ended = call(print, f"--count={10**23}", define=self.define)
        assert_one_line(ended, f"--count must be below 2**63. Received: {10**23}")


class TestStreams:
    def run(self, redirections, work="print(sys.stdin.readline())", arguments=""):
        """Runs a command whose standard streams the shell has redirected."""
        code = f"""import sys, types
from trainers import cli
def work():
    {work}
sys.modules["made_up"] = types.SimpleNamespace(main=work)
cli.main("made_up", "Does something. " * 9999)"""
        command = f"\"{sys.executable}\" -c '{code}' {arguments} {redirections}"
        return subprocess.run(["bash", "-c", command], capture_output=True, text=True)

    @pytest.mark.parametrize(
        ("redirections", "line"),
        [
            ("<&-", "error: Standard input is closed. Pass a file, or redirect it from one.\n"),
            (">&-", "error: Standard output is closed. Redirect it, for example to /dev/null.\n"),
            (">&- 2>&-", ""),
        ],
    )
    def test_closed(self, redirections, line):
        ended = self.run(redirections)
        assert (ended.returncode, ended.stdout, ended.stderr) == (1, "", line)

    def test_closed_but_not_needed(self):
        ended = self.run("<&- 2>&-", 'print("done")')
        assert (ended.returncode, ended.stdout) == (0, "done\n")

    @pytest.mark.parametrize("arguments", ["", "--help"])
    def test_a_pipe_whose_reader_is_gone(self, arguments):
        work = 'print("x" * 99999)'
        ended = self.run("| true; exit ${PIPESTATUS[0]}", work, arguments)
        assert (ended.returncode, ended.stdout, ended.stderr) == (1, "", "error: Broken pipe\n")


class TestEnd:
    @pytest.mark.parametrize(("result", "code"), [(None, 0), (0, 0), (7, 7)])
    def test_a_result(self, call, result, code):
        ended = call(lambda: result)
        assert (ended.code, ended.stdout, ended.stderr) == (code, "", "")

    @pytest.mark.parametrize(
        ("error", "code", "line"),
        [
            (UserError("no such row"), 1, "error: no such row\n"),
            (InputError("no such word"), 1, "error: no such word\n"),
            (NonFiniteLossError("diverged"), 3, "error: diverged\n"),
            (OSError("cannot listen"), 1, "error: cannot listen\n"),
            (OSError(errno.ENOSPC, "No space left", "a.json"), 1, "error: No space left: a.json\n"),
            (UserError("two\nlines"), 1, "error: two lines\n"),
            (MemoryError("4 TiB"), 1, f"error: {NO_MEMORY} 4 TiB\n"),
            (OOM, 1, f"error: {NO_MEMORY} OOM with shape[9]\n"),
            (KeyboardInterrupt(), 130, ""),
        ],
    )
    def test_an_error_of_the_user(self, call, error, code, line):
        ended = call(raising(error))
        assert (ended.code, ended.stdout, ended.stderr) == (code, "so far\n", line)

    def test_sigterm_is_handled_as_ctrl_c(self, call):
        before = signal.getsignal(signal.SIGTERM)
        ended = call(lambda: signal.raise_signal(signal.SIGTERM))
        assert (ended.code, ended.stderr) == (130, "")
        assert signal.getsignal(signal.SIGTERM) == before

    @pytest.mark.parametrize("error", [ZeroDivisionError, ValueError])
    def test_other_errors_are_not_hidden(self, call, error):
        with pytest.raises(error):
            call(raising(error()))

    def test_invalid_settings_are_reported_before_the_work_is_imported(self, call):
        ended = call(lambda: pytest.fail("called"), check=raising(UserError("no such row")))
        assert (ended.code, ended.stderr) == (1, "error: no such row\n")

    def test_a_missing_package_of_an_extra(self, capfd):
        ended = run_main(capfd, lambda: cli.main("serving.missing", DOC))
        assert ended.code == 1 and "No module named 'serving.missing'. Install it" in ended.stderr

    def test_warnings_are_one_line(self, call):
        ended = call(lambda: warnings.warn("look out", stacklevel=1))
        assert ended.stderr == "warning: look out\n"


def write(text):
    os.write(2, text.encode())  # as C++ code does


class TestStartUp:
    def test_it_is_quiet(self, call, monkeypatch):
        def import_(name):
            write("oneDNN custom operations are on\n")
            return sys.modules[name]

        monkeypatch.setattr(importlib, "import_module", import_)
        assert call(lambda: print("done")).stderr == ""

    def test_a_failure_is_shown(self, call, monkeypatch):
        def fail(name):
            write("libcudart.so: undefined symbol\n")
            raise ImportError("no TensorFlow")

        monkeypatch.setattr(importlib, "import_module", fail)
        with pytest.raises(ImportError):
            call(lambda: pytest.fail("called"))

    @pytest.mark.skipif(
        bool(tf.config.list_physical_devices("GPU")), reason="TensorFlow can use a GPU here"
    )
    def test_an_unusable_gpu_is_reported(self, call, monkeypatch):
        def import_(name):
            write("Cannot dlopen some GPU libraries\n")
            return sys.modules[name]

        monkeypatch.setattr(importlib, "import_module", import_)
        monkeypatch.setattr(cli, "has_nvidia_gpu", lambda: True)
        ended = call(lambda: print("done"))
        assert (ended.code, ended.stdout) == (0, "done\n")
        first, second = ended.stderr.splitlines()
        assert first == "Cannot dlopen some GPU libraries"
        assert second.startswith("warning: TensorFlow cannot use the NVIDIA GPU")

    def test_whether_there_is_a_gpu(self, monkeypatch):
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        monkeypatch.setattr(cli.glob, "glob", lambda pattern: [])
        monkeypatch.setattr(cli.shutil, "which", lambda name: None)
        assert not cli.has_nvidia_gpu()
        monkeypatch.setattr(cli.glob, "glob", lambda pattern: ["/dev/nvidia0"])
        assert cli.has_nvidia_gpu()
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
        assert not cli.has_nvidia_gpu()
