"""Runs the tutorial: its blocks in order, in an empty folder, by one shell."""

import os
import pathlib
import re
import shlex
import signal
import socket
import subprocess
import sys

ROOT = pathlib.Path(__file__).absolute().parents[2]
TUTORIAL = ROOT / "docs" / "tutorial.md"
BLOCK = re.compile(r"^```(bash|python|text)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
DEADLINE_SECONDS = 1800  # for a tutorial that hangs; it takes about a minute


def script_and_output(text):
    """Returns a shell script of the code blocks, and the parts of the output that they show."""
    script, shown = [], []
    previous = None
    for language, content in BLOCK.findall(text):
        if language == "text":
            shown += content.split("...")  # stands for anything
        elif language == "python" == previous:  # one program in several blocks
            script[-1] = script[-1].removesuffix("PYTHON") + content + "PYTHON"
        else:
            is_python = language == "python"
            script.append(f"python - <<'PYTHON'\n{content}PYTHON" if is_python else content)
        previous = previous if language == "text" else language
    return "\n".join(script), shown


def run(script, folder):
    """Runs a script by bash in an empty folder; returns its exit code and output."""
    (folder / "bin").mkdir()
    (folder / "work").mkdir()
    python = folder / "bin" / "python"
    python.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} "$@"\n')
    python.chmod(0o755)
    path = f"{python.parent}{os.pathsep}{os.environ['PATH']}"
    variables = {"PATH": path, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    with open(folder / "output.txt", "w+", encoding="utf-8") as output:
        shell = subprocess.Popen(
            ["bash", "-eu", "-o", "pipefail", "-c", script],
            cwd=folder / "work",
            env={**os.environ, **variables},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            code = shell.wait(DEADLINE_SECONDS)
        finally:
            try:  # a server that a failed step left running
                os.killpg(shell.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            shell.wait()
        output.seek(0)
        return code, output.read()


def test_the_tutorial_runs_and_prints_what_it_shows(tmp_path):
    text = TUTORIAL.read_text(encoding="utf-8")
    for port in ("8500", "8501"):
        with socket.create_server(("127.0.0.1", 0)) as listener:  # a free port
            text = text.replace(port, str(listener.getsockname()[1]))
    script, shown = script_and_output(text)
    code, output = run(script, tmp_path)
    assert code == 0, output[-3000:]
    position = 0
    for part in shown:
        position = output.find(part, position)
        assert position >= 0, f"{part!r} is missing from\n{output}"
