"""What all tables share: their form, how a time is written, and what they were measured on."""

import os
import pathlib
import platform
import statistics
import subprocess
import time


def markdown(header, rows, text_columns=1):
    """A table as Markdown lines.

    Args:
        header: list of strings.
        rows: list of lists of strings; a short one is filled up with empty cells.
        text_columns: columns from the left that are text; the others are numbers.

    >>> markdown(["size", "ms"], [["20", "3.5"]])
    ['| size | ms |', '| --- | ---: |', '| 20 | 3.5 |']
    """
    marks = ["---"] * text_columns + ["---:"] * (len(header) - text_columns)
    filled = [row + [""] * (len(header) - len(row)) for row in rows]
    return ["| " + " | ".join(line) + " |" for line in [header, marks, *filled]]


def milliseconds(seconds):
    """The median of a list of seconds, and its range, as two cells in milliseconds.

    >>> milliseconds([0.002, 0.001, 0.009])
    ['2', '1 to 9']
    """
    low, middle, high = min(seconds), statistics.median(seconds), max(seconds)
    return [f"{1000 * middle:.4g}", f"{1000 * low:.4g} to {1000 * high:.4g}"]


def machine():
    """A line on what this was measured on."""
    model = "unknown CPU"
    cpuinfo = pathlib.Path("/proc/cpuinfo")
    if cpuinfo.exists():
        fields = (line.partition(":") for line in cpuinfo.read_text().splitlines())
        values = {name.strip(): value.strip() for name, _, value in fields}
        model, flags = values.get("model name", model), values.get("flags", "").split()
        wanted = ["avx2", "avx512f", "avx512_bf16", "amx_bf16"]
        model += " with " + ", ".join(flag for flag in wanted if flag in flags)
    cores = len(os.sched_getaffinity(0))
    python = platform.python_version()
    return f"{model}; {cores} cores{gpus()}; Python {python}; {time.strftime('%Y-%m-%d')}"


def gpus():
    """The names of the GPUs, each after a semicolon; an empty string where there is none."""
    command = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return ""
    return "".join(f"; {name}" for name in found.splitlines())
