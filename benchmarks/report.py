"""Markdown tables and the description of the machine."""

import os
import pathlib
import platform
import statistics
import subprocess
import time


def markdown(header, rows):
    """Formats a table as Markdown lines.

    Args:
        header: list of strings.
        rows: list of lists of strings. Short rows are padded with empty cells. Columns after the
            second hold numbers and are right-aligned.

    >>> markdown(["name", "size", "ms"], [["lstm", "20", "3.5"]])
    ['| name | size | ms |', '| --- | --- | ---: |', '| lstm | 20 | 3.5 |']
    """
    marks = ["---", "---"] + ["---:"] * (len(header) - 2)
    padded = [row + [""] * (len(header) - len(row)) for row in rows]
    return ["| " + " | ".join(line) + " |" for line in [header, marks, *padded]]


def milliseconds(seconds):
    """Formats the median and the range of a list of times.

    >>> milliseconds([0.002, 0.001, 0.009])
    '2 (1 to 9)'
    """
    low, middle, high = (1000 * f(seconds) for f in (min, statistics.median, max))
    return f"{middle:.4g} ({low:.4g} to {high:.4g})"


def machine():
    """Returns one line that names the processor, its cores, the GPUs, Python and the date."""
    processor = "unknown processor"
    cpuinfo = pathlib.Path("/proc/cpuinfo")
    if cpuinfo.exists():
        fields = (line.partition(":") for line in cpuinfo.read_text().splitlines())
        values = {name.strip(): value.strip() for name, _, value in fields}
        flags = values.get("flags", "").split()
        extensions = [x for x in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if x in flags]
        processor = f"{values.get('model name', processor)} ({', '.join(extensions)})"
    cores = len(os.sched_getaffinity(0))
    python = platform.python_version()
    return f"{processor}; {cores} cores{_gpus()}; Python {python}; {time.strftime('%Y-%m-%d')}"


def _gpus():
    command = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    try:
        names = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return ""
    return "".join(f"; {name}" for name in names.splitlines())
