"""Tests of the picture of perplexity against minutes."""

import sys

import pytest

from benchmarks import minutes


def write_run(folder, rows):
    folder.mkdir()
    lines = ["epoch,validation_perplexity,seconds", *(",".join(map(str, row)) for row in rows)]
    (folder / "metrics.csv").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture
def run(tmp_path):
    return write_run(tmp_path / "run", [(1, 300.5, 60), (2, 150.25, 150)])


def call(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["minutes", *map(str, arguments)])
    minutes.main()


def test_reads_minutes_and_perplexities(run):
    assert minutes.read_run(run) == ([1.0, 2.5], [300.5, 150.25])


def test_one_color_for_each_label():
    runs = [("a", [1, 2], [9.0, 8.0]), ("b", [1, 2], [7.0, 6.0]), ("a", [1, 3], [5.0, 4.0])]
    axes = minutes.make_figure(runs).axes[0]
    curves = [line for line in axes.lines if line.get_marker() != "o"]
    assert [line.get_color() for line in curves][0::2] == [curves[0].get_color()] * 2
    assert curves[1].get_color() != curves[0].get_color()
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["a", "b"]


def test_the_command(run, tmp_path, monkeypatch, capsys):
    output = tmp_path / "picture.png"
    call(monkeypatch, f"--output={output}", f"fast={run}", f"fast={run}")
    assert output.read_bytes().startswith(b"\x89PNG")
    assert capsys.readouterr().out.count("| fast | 2.5 | 150.2 | 150.2 |") == 2


@pytest.mark.parametrize("argument", ["folder", "=folder", "label=", "label=/no/such/folder"])
def test_what_is_no_run_is_named(argument, tmp_path, monkeypatch, capsys):
    with pytest.raises(SystemExit):
        call(monkeypatch, f"--output={tmp_path / 'x.png'}", argument)
    assert "expected" in capsys.readouterr().err
    assert not (tmp_path / "x.png").exists()


def test_a_run_without_rows(tmp_path):
    with pytest.raises(SystemExit, match="no rows"):
        minutes.read_run(write_run(tmp_path / "empty", []))
