"""Tests of the command of the ablation: rows, seeds, what is shared, and that it goes on."""

import json
import re
import shutil
import subprocess
import sys
import time
from unittest import mock

import pytest

from tests.trainers.command_line import ROOT
from tests.trainers.in_process import assert_one_line, run_command
from tests.trainers.training.tiny import assert_same_run, interrupt_after
from tests.trainers.training_command import arguments, snapshot, write_texts
from trainers import side_by_side
from trainers.training import RunFolder, factory, loop
from trainers.training.folder_lock import folder_lock

MODULE = "trainers.ablation"
SMALL = {"epochs": 1, "logging_interval": 0, "num_layers": 1}


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    return write_texts(tmp_path_factory.mktemp("data") / "texts")


def line(data_dir, workdir, *more, rows="full,no_fine_tuning,no_weight_dropping", **changes):
    settings = {**SMALL, **changes}
    return [
        *arguments(data_dir, workdir, **settings),
        f"--rows={rows}",
        "--finetune_epochs=1",
        *more,
    ]


@pytest.fixture(scope="module")
def finished(data_dir, tmp_path_factory, request):
    """A finished ablation and what its command said; nobody changes it."""
    workdir = tmp_path_factory.mktemp("finished") / "ablation"
    capture = request.getfixturevalue("capfd_module")
    return workdir, run_command(capture, MODULE, *line(data_dir, workdir, "--seeds=7,8"))


@pytest.fixture(scope="module")
def capfd_module(request):
    """pytest's capfd, for a whole module."""
    from _pytest.capture import CaptureFixture, FDCapture

    fixture = CaptureFixture(FDCapture, request, _ispytest=True)
    manager = request.config.pluginmanager.getplugin("capturemanager")
    with manager.global_and_fixture_disabled():
        fixture._start()
        yield fixture
        fixture.close()


def read_table(workdir):
    rows = [
        text.strip("| ").split(" | ")
        for text in (workdir / "ablation.md").read_text().splitlines()
        if text.startswith("| ")
    ]
    return {row[0]: row for row in rows}


class TestFinished:
    def test_a_run_folder_for_each_training(self, finished):
        workdir, ended = finished
        assert ended.code == 0, ended.stderr
        runs = {str(path.parent.relative_to(workdir)) for path in workdir.rglob("config.json")}
        # Rows share their training: that without fine-tuning has none of its own.
        assert runs == {
            f"{row}/seed-{seed}{stage}"
            for row in ("full", "no_weight_dropping")
            for seed in (7, 8)
            for stage in ("", "-finetuned")
        }

    def test_each_has_its_settings(self, finished):
        workdir, _ = finished
        for seed in (7, 8):
            config = RunFolder(workdir / f"no_weight_dropping/seed-{seed}").read_config()[0]
            assert (config.seed, config.weight_dropout) == (seed, 0.0)
            tuned = RunFolder(workdir / f"full/seed-{seed}-finetuned").read_config()[0]
            assert (tuned.trigger, tuned.stop) == ("start", "non_monotonic")
            assert tuned.initial_run == str(workdir / f"full/seed-{seed}")
            assert tuned.weight_dropout > 0

    def test_the_table_has_the_numbers_of_the_runs(self, finished):
        workdir, ended = finished
        table = read_table(workdir)
        for title, name in (
            ("AWD-LSTM, all parts", "full/seed-{}-finetuned"),
            ("- fine-tuning", "full/seed-{}"),
            ("- weight-dropping", "no_weight_dropping/seed-{}-finetuned"),
        ):
            results = [RunFolder(workdir / name.format(seed)).read_results() for seed in (7, 8)]
            for column, text in ((1, "validation"), (2, "test")):
                mean = sum(result[text]["perplexity"] for result in results) / 2
                assert table[title][column].startswith(f"{mean:.2f} ± ")
            assert f"]({name.format(7)})" in table[title][7]
        assert (workdir / "ablation.html").read_text().startswith("<!DOCTYPE html>")
        assert (workdir / "ablation.md").read_text().strip() in ended.stdout

    def test_again_it_trains_nothing(self, finished, data_dir, capfd):
        workdir, _ = finished
        before = snapshot(workdir)
        again = run_command(capfd, MODULE, *line(data_dir, workdir, "--seeds=7,8"))
        assert again.code == 0, again.stderr
        assert snapshot(workdir) == before

    def test_on_other_hardware_it_keeps_its_dtype(self, finished, data_dir, capfd, monkeypatch):
        monkeypatch.setattr(factory, "resolve_dtype", lambda _: ("bfloat16", "it has it"))
        flags = line(data_dir, finished[0], "--seeds=7,8", dtype="auto")
        with monkeypatch.context() as patch:
            # What each run says of it is tested with the runs.
            patch.setattr("trainers.side_by_side.run_in_this_process", lambda *_: True)
            again = run_command(capfd, MODULE, *flags)
        assert again.code == 0, again.stderr


class TestGoesOn:
    def test_interrupted_it_is_the_unbroken_ablation(self, finished, data_dir, tmp_path, capfd):
        workdir = tmp_path / "ablation"
        arguments = line(data_dir, workdir, "--seeds=7", rows="full,no_weight_dropping")
        with interrupt_after(9):
            ended = run_command(capfd, MODULE, *arguments)
        assert ended.code == 130, ended.stderr
        assert "the same command goes on from here" in ended.stdout
        ended = run_command(capfd, MODULE, *arguments)
        assert ended.code == 0, ended.stderr
        assert "continuing after step 9" in ended.stdout
        for name in ("full/seed-7", "no_weight_dropping/seed-7"):
            assert_same_run(workdir / name, finished[0] / name)
        # A fine-tuning has its parent's folder on record, hence only the numbers are equal.
        name = "full/seed-7-finetuned"
        assert (
            RunFolder(workdir / name).read_results() == RunFolder(finished[0] / name).read_results()
        )

    def test_rows_and_seeds_may_be_added(self, finished, data_dir, tmp_path, capfd):
        workdir = tmp_path / "ablation"
        run_command(capfd, MODULE, *line(data_dir, workdir, "--seeds=7", rows="full"))
        before = snapshot(workdir / "full")
        ended = run_command(capfd, MODULE, *line(data_dir, workdir, "--seeds=7", rows="no_ar_tar"))
        assert ended.code == 0, ended.stderr
        assert snapshot(workdir / "full") == before
        assert (workdir / "no_ar_tar" / "seed-7-finetuned" / "results.json").exists()
        # The table has all of them.
        table = read_table(workdir)
        assert {"AWD-LSTM, all parts", "- fine-tuning", "- AR/TAR"} <= set(table)
        assert re.match(r"\d", table["AWD-LSTM, all parts"][1])
        assert re.match(r".\d", table["- AR/TAR"][3])  # the change

    def test_the_table_has_what_was_made_before(self, finished, data_dir, tmp_path, capfd):
        workdir = tmp_path / "ablation"
        shutil.copytree(finished[0], workdir)
        before = snapshot(workdir)
        # Runs remember the folder of the one they go on from: a copy is for reading.
        with mock.patch.object(side_by_side, "run_in_this_process", return_value=True):
            again = run_command(
                capfd, MODULE, *line(data_dir, workdir, "--seeds=8", rows="no_weight_dropping")
            )
        assert again.code == 0, again.stderr
        after = read_table(workdir)
        assert set(after) == set(read_table(finished[0]))
        for title, row in read_table(finished[0]).items():
            assert after[title][:7] == row[:7]
            assert sorted(after[title][7].split()) == sorted(row[7].split())
        assert len(snapshot(workdir)) == len(before)

    def test_killed_as_it_began(self, data_dir, tmp_path, capfd):
        workdir = tmp_path / "ablation"
        workdir.mkdir()
        (workdir / "ablation.json.partial").write_text("{")
        with mock.patch.object(side_by_side, "run_in_this_process", return_value=True):
            ended = run_command(capfd, MODULE, *line(data_dir, workdir))
        assert ended.code == 0, ended.stderr
        assert not (workdir / "ablation.json.partial").exists()


class TestDiverged:
    def test_the_other_rows_go_on(self, data_dir, tmp_path, capfd, monkeypatch):
        workdir = tmp_path / "ablation"
        make_train_step = loop.make_train_step

        def make(model, optimizer, **kwargs):
            train_step = make_train_step(model, optimizer, **kwargs)
            if kwargs["ar_alpha"]:
                return train_step

            def fail(*values):
                _, *others = train_step(*values)
                return float("nan"), *others

            return fail

        monkeypatch.setattr(loop, "make_train_step", make)
        arguments = line(data_dir, workdir, rows="no_ar_tar,full")
        ended = run_command(capfd, MODULE, *arguments)
        assert ended.code == 0, ended.stderr
        assert "no_ar_tar, seed 7: diverged; the other rows go on" in ended.stdout
        table = read_table(workdir)
        assert table["- AR/TAR"][1] == "(1 diverged)"
        assert re.match(r"\d", table["AWD-LSTM, all parts"][1])

        # Again, and with other rows, it would diverge at the same step: it is not trained again.
        before = snapshot(workdir)
        with mock.patch.object(loop, "make_train_step", lambda *_, **__: pytest.fail("trained")):
            for rows in ("no_ar_tar,full", "full"):
                ended = run_command(capfd, MODULE, *line(data_dir, workdir, rows=rows))
                assert ended.code == 0, ended.stderr
                assert "diverged before, not repeated: no_ar_tar/seed-7" in ended.stdout
                assert read_table(workdir)["- AR/TAR"][1] == "(1 diverged)"
        assert len(snapshot(workdir)) == len(before)
        # Without its folder it is.
        shutil.rmtree(workdir / "no_ar_tar")
        ended = run_command(capfd, MODULE, *arguments)
        assert "no_ar_tar, seed 7: diverged; the other rows go on" in ended.stdout


class TestBadInput:
    @pytest.mark.parametrize(
        ("flags", "said"),
        [
            (["--rows=full,no_tying"], "rows must be some of full"),
            (["--rows="], "at least one row"),
            (["--seeds=1,one"], "seeds must be different integers"),
            (["--seeds=1,1"], "seeds must be different integers"),
            (["--seeds=-1"], "seed must be an integer in"),
            (["--weight_decay=0", "--rows=no_weight_decay"], "changes nothing"),
            (["--finetune_epochs=0"], "leave no_fine_tuning out"),
        ],
    )
    def test_one_line_and_no_folder(self, data_dir, tmp_path, capfd, flags, said):
        ended = run_command(capfd, MODULE, *line(data_dir, tmp_path / "ablation"), *flags)
        assert_one_line(ended, said)
        assert not (tmp_path / "ablation").exists()

    def test_other_settings(self, finished, data_dir, capfd):
        before = snapshot(finished[0])
        ended = run_command(capfd, MODULE, *line(data_dir, finished[0], epochs=2, bptt=11))
        assert_one_line(ended, "bptt: 10 -> 11", "epochs: 1 -> 2")
        assert snapshot(finished[0]) == before

    def test_another_text(self, finished, data_dir, tmp_path, capfd):
        before = snapshot(finished[0])
        shutil.copytree(data_dir, tmp_path / "moved")
        file = tmp_path / "moved" / "valid.txt"
        file.write_text("\n".join(reversed(file.read_text().splitlines())) + "\n")
        ended = run_command(capfd, MODULE, *line(tmp_path / "moved", finished[0], "--seeds=7"))
        assert_one_line(ended, "was begun with another text than that of", "--data_dir")
        assert snapshot(finished[0]) == before

    def test_a_file(self, data_dir, tmp_path, capfd):
        (tmp_path / "file").write_text("mine")
        assert_one_line(run_command(capfd, MODULE, *line(data_dir, tmp_path / "file")), "is a file")

    def test_nothing_is_written_before_the_folder_is_held(self, data_dir, tmp_path, capfd):
        workdir = tmp_path / "ablation"
        with folder_lock(workdir):
            ended = run_command(capfd, MODULE, *line(data_dir, workdir))
        assert_one_line(ended, "Another process works in")
        assert not list(workdir.iterdir())

    def test_a_folder_of_something_else(self, data_dir, tmp_path, capfd):
        (tmp_path / "thesis.txt").write_text("years of work")
        assert_one_line(run_command(capfd, MODULE, *line(data_dir, tmp_path)), "ablation.json")
        assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]

    def test_a_folder_in_which_another_works(self, finished, data_dir, capfd):
        with folder_lock(finished[0]):
            ended = run_command(capfd, MODULE, *line(data_dir, finished[0]))
        assert_one_line(ended, "Another process works in")

    def test_what_makes_a_run_impossible_is_told_once(self, data_dir, tmp_path, capfd):
        arguments = line(data_dir, tmp_path / "ablation", batch_size=100)
        ended = run_command(capfd, MODULE, *arguments)
        assert ended.code == 1
        assert re.fullmatch(r"error: full, seed 7 failed: .* too short: [^\n]+\n", ended.stderr)


@pytest.mark.slow
class TestSideBySide:
    def start(self, data_dir, workdir, **changes):
        arguments = line(
            data_dir,
            workdir,
            "--seeds=7",
            "--processes=2",
            rows="full,no_weight_dropping",
            **changes,
        )
        return subprocess.Popen(
            [sys.executable, "-m", MODULE, *arguments],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def test_the_same_runs(self, finished, data_dir, tmp_path):
        process = self.start(data_dir, tmp_path / "ablation")
        output, errors = process.communicate(timeout=500)
        assert process.returncode == 0, errors
        assert "2 of 2 runs done" in output
        for name in ("full/seed-7", "no_weight_dropping/seed-7"):
            assert_same_run(tmp_path / "ablation" / name, finished[0] / name)

    def test_killed_its_processes_save_and_end(self, data_dir, tmp_path):
        workdir = tmp_path / "ablation"
        changes = {"epochs": 100000}
        process = self.start(data_dir, workdir, **changes)
        folders = [
            RunFolder(workdir / name) for name in ("full/seed-7", "no_weight_dropping/seed-7")
        ]
        deadline = time.monotonic() + 300
        while not all(folder.last_checkpoint.exists() for folder in folders):
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.1)
        process.kill()
        process.communicate()
        # The lock is theirs too: it is free when the last has ended.
        with folder_lock(workdir, wait=True):
            assert all(folder.read_results()["reason"] == "interrupted" for folder in folders)


def test_a_failure_in_a_process_of_its_own_is_told(data_dir, tmp_path, capfd):
    arguments = line(data_dir, tmp_path / "ablation", "--processes=2", batch_size=100, rows="full")
    ended = run_command(capfd, MODULE, *arguments)
    assert ended.code == 1
    assert re.fullmatch(r"error: full, seed 7 failed: .* too short: [^\n]+\n", ended.stderr)


def test_settings_are_on_record(finished):
    content = json.loads((finished[0] / "ablation.json").read_text())
    assert content["finetune_epochs"] == 1 and content["epochs"] == 1
