"""Tests of the ablation, whose runs are made in this process."""

import pytest

from tests.trainers.in_process import assert_one_line, run_command
from tests.trainers.training_command import arguments, snapshot
from trainers.commands import ablation
from trainers.config import TrainingConfig
from trainers.search.ablation_rows import ROWS
from trainers.training import RunFolder

MODULE = "trainers.ablation"


def line(data_dir, workdir, *more, rows="full,no_fine_tuning,no_weight_dropping", **changes):
    settings = {"epochs": 1, "logging_interval": 0, "num_layers": 1, **changes}
    return [*arguments(data_dir, workdir, **settings), f"--rows={rows}", "--seeds=7,8", *more]


@pytest.fixture
def started(monkeypatch):
    """The jobs that were started; nothing is trained, but results are written."""
    jobs = {}

    def pretend(new, num_processes, on_end):
        jobs.update(new)
        for index, (name, commands) in enumerate(new.items()):
            for command in commands:
                flags = dict(flag.removeprefix("--").split("=", 1) for flag in command[1:])
                folder = RunFolder(flags.get("output_workdir", flags["workdir"]))
                folder.path.mkdir(parents=True)
                texts = {s: {"perplexity": 100.0 + index} for s in ("validation", "test")}
                folder.write_results({"reason": "finished", "epochs": 1, **texts})
            on_end(name, False)

    monkeypatch.setattr(ablation, "parallel_runs", pretend)
    return jobs


def test_jobs_and_table(data_dir, tmp_path, capfd, started):
    workdir = tmp_path / "ablation"
    ended = run_command(capfd, MODULE, *line(data_dir, workdir, "--finetune_epochs=3"))
    assert ended.code == 0, ended
    # Rows that differ only in fine-tuning share their training.
    names = [f"{row}, seed {s}" for s in (7, 8) for row in ("full", "no_weight_dropping")]
    assert list(started) == names
    train, finetune = started["no_weight_dropping, seed 8"]
    folder = workdir / "no_weight_dropping" / "seed-8"
    assert train[0] == "trainers.ptb" and {"--weight_dropout=0.0", "--seed=8"} <= set(train)
    assert f"--workdir={folder}" in train
    assert finetune == [
        "trainers.finetune",
        f"--workdir={folder}",
        f"--output_workdir={folder}-finetuned",
        "--epochs=3",
    ]
    table = (workdir / "ablation.md").read_text(encoding="utf-8")
    assert table in ended.stdout
    assert table.splitlines()[2:] == [
        "| AWD-LSTM, all parts | 101.00 ± 1.41 | 101.00 ± 1.41 | +0.00 | 60.0 / 57.3 | +0.0 |",
        "| - fine-tuning | 101.00 ± 1.41 | 101.00 ± 1.41 | +0.00 | 60.7 / 58.8 | +0.7 |",
        "| - weight-dropping | 102.00 ± 1.41 | 102.00 ± 1.41 | +1.00 | 71.1 / 68.9 | +11.1 |",
    ]


def test_rows_and_epochs_may_be_added_but_no_other_settings(data_dir, tmp_path, capfd, started):
    workdir = tmp_path / "ablation"
    run_command(capfd, MODULE, *line(data_dir, workdir, "--finetune_epochs=0", rows="full"))
    more = line(data_dir, workdir, "--finetune_epochs=0", rows="no_ar_tar", epochs=2)
    ended = run_command(capfd, MODULE, *more)
    assert ended.code == 0 and "- AR/TAR" in ended.stdout and "all parts" in ended.stdout, ended
    more = line(data_dir, workdir, "--finetune_epochs=1", rows="no_weight_decay", epochs=2)
    assert run_command(capfd, MODULE, *more).code == 0
    before = snapshot(workdir)
    ended = run_command(capfd, MODULE, *line(data_dir, workdir, bptt=11))
    assert_one_line(ended, "bptt: 10 -> 11")
    ended = run_command(capfd, MODULE, *line(data_dir, workdir, epochs=3))
    assert_one_line(ended, "has fine-tuned runs, which started after 2 epochs. Keep --epochs=2")
    assert snapshot(workdir) == before


def test_a_diverged_row(data_dir, tmp_path, capfd, monkeypatch):
    def pretend(jobs, num_processes, on_end):
        for name, (command, *_) in jobs.items():
            RunFolder(command[-1].removeprefix("--workdir=")).path.mkdir(parents=True)
            on_end(name, True)

    monkeypatch.setattr(ablation, "parallel_runs", pretend)
    ended = run_command(
        capfd, MODULE, *line(data_dir, tmp_path / "a", "--finetune_epochs=0", rows="no_ar_tar")
    )
    assert ended.code == 0 and "no_ar_tar, seed 7, diverged" in ended.stdout, ended
    assert "| - AR/TAR | - | - | - |" in ended.stdout


@pytest.mark.parametrize("name", ROWS)
def test_every_row_changes_the_model(name, tmp_path):
    (command, *_) = ablation._commands(TrainingConfig(), tmp_path, name, 5, 0)
    changed = [flag for flag in command[2:] if not flag.startswith(("--seed", "--workdir"))]
    assert len(changed) == len(ROWS[name].changes)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--rows=full,no_tying"], "--rows must be chosen from full"),
        (["--rows="], "--rows must be chosen from full"),
        (["--seeds=1,one"], "--seeds must be integers"),
        (["--seeds="], "--seeds must be integers"),
        (["--weight_decay=0", "--rows=no_weight_decay"], "changes nothing"),
    ],
)
def test_bad_input(data_dir, tmp_path, capfd, flags, message):
    ended = run_command(capfd, MODULE, *line(data_dir, tmp_path / "ablation"), *flags)
    assert_one_line(ended, message)
    assert not (tmp_path / "ablation").exists()


@pytest.mark.slow
def test_real_runs(data_dir, tmp_path, capfd):
    flags = line(data_dir, tmp_path / "a", "--processes=2", "--finetune_epochs=1", rows="full")
    ended = run_command(capfd, MODULE, *flags)
    assert ended.code == 0 and "2 of 2 ended" in ended.stdout, ended
    for stage in ("", "-finetuned"):
        results = RunFolder(tmp_path / "a" / "full" / f"seed-8{stage}").read_results()
        assert results["reason"] == "finished" and results["test"]
