"""The tutorial is run as it stands: its blocks in order, in an empty folder, by one shell."""

import fnmatch
import os
import pathlib
import re
import shlex
import signal
import socket
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).absolute().parents[2]
TUTORIAL = ROOT / "docs" / "tutorial.md"
BLOCK = re.compile(r"^```(bash|python|text)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
MARK = "=== block "
DEADLINE_SECONDS = 300


def read_steps(text):
    """Returns [(language, code, shown output)]; Python blocks without a command between are one."""
    steps = []
    for language, content in BLOCK.findall(text):
        if language == "text":
            steps[-1][2] += content
        elif language == "python" and steps and steps[-1][0] == "python":
            steps[-1][1] += content
        else:
            steps.append([language, content, ""])
    return [tuple(step) for step in steps]


def shell_script(steps):
    """One script of all steps; a line before each says in the output where it begins."""
    lines = []
    for index, (language, code, _) in enumerate(steps):
        lines.append(f"echo; echo '{MARK}{index}'")
        lines.append(code if language == "bash" else f"python - <<'PYTHON'\n{code}PYTHON")
    return "\n".join(lines) + "\n"


def is_shown(shown, output):
    """Whether the lines that are shown came in this order; `...` stands for anything."""
    pattern = "".join(f"{_escaped(line)}\n" for line in shown.splitlines())
    return fnmatch.fnmatchcase(output, f"*{pattern}*".replace("*\n*", "*"))


def _escaped(line):
    return re.sub(r"([\[?*])", r"[\1]", line).replace("...", "*")


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def run(script, folder):
    """Runs a script by bash in a folder; returns its exit code and all that it wrote."""
    programs = folder / "programs"
    programs.mkdir()
    python = programs / "python"
    python.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} "$@"\n')
    python.chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "PYTHONUNBUFFERED": "1",
    }
    work = folder / "work"
    work.mkdir()
    with open(folder / "output.txt", "w+", encoding="utf-8") as output:
        shell = subprocess.Popen(
            ["bash", "-eu", "-o", "pipefail", "-c", script],
            cwd=work,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            code = shell.wait(DEADLINE_SECONDS)
        finally:
            try:  # a server that a failed step left
                os.killpg(shell.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            shell.wait()
        output.seek(0)
        return code, output.read()


def test_every_block_runs_and_gives_what_is_shown(tmp_path):
    text = TUTORIAL.read_text(encoding="utf-8")
    for port in ("8500", "8501"):
        text = text.replace(port, str(free_port()))
    steps = read_steps(text)
    code, output = run(shell_script(steps), tmp_path)
    assert code == 0, output[-3000:]
    parts = re.split(rf"^{MARK}\d+\n", output, flags=re.MULTILINE)[1:]
    assert len(parts) == len(steps)
    for (_, block, shown), part in zip(steps, parts, strict=True):
        assert is_shown(shown, part), f"{block}\nshould have shown\n{shown}\nand gave\n{part}"
    perplexity = float(re.search(r"test perplexity: (.+)", output)[1])
    assert 2.3 < perplexity < 4, output  # 2.40 is the best, but for the chance of a short text
    right, wrong = re.findall(r"^(-\d+\.\d+)\t6\t0\t", output, re.MULTILINE)
    assert float(right) > float(wrong)


def test_blocks_become_steps():
    text = "```bash\na\n```\nand\n```text\nb\n```\n```python\nc\n```\n\n```python\nd\n```\n"
    assert read_steps(text) == [("bash", "a\n", "b\n"), ("python", "c\nd\n", "")]
    assert "python - <<'PYTHON'\nc\nd\nPYTHON" in shell_script(read_steps(text))


@pytest.mark.parametrize(
    ("shown", "matches"),
    [
        ("", True),
        ("b: 2\n", True),
        ("a\n...\nc\n", True),
        ("b: ...\n", True),
        ("c\na\n", False),
        ("b: 3\n", False),
        ("a [x]\n", False),
    ],
)
def test_shown_output(shown, matches):
    assert is_shown(shown, "a\nb: 2\nc\n") == matches


def test_a_failing_command_fails(tmp_path):
    code, output = run("echo before\nfalse\necho after\n", tmp_path)
    assert (code, output) == (1, "before\n")
