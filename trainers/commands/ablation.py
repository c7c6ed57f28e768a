"""Trains a model without each of its parts in turn."""

import os
import pathlib
import statistics

from absl import flags

from trainers import config_flags
from trainers.config import TrainingConfig
from trainers.errors import UserError
from trainers.search.ablation_rows import ROWS
from trainers.search.parallel_runs import parallel_runs
from trainers.training import RecordedFolder, RunFolder, factory

FLAGS = flags.FLAGS


def main():
    config = config_flags.config_from_flags()
    rows, seeds = _rows(), _seeds(config)
    finetune_epochs = config.epochs if FLAGS.finetune_epochs is None else FLAGS.finetune_epochs
    workdir = pathlib.Path(FLAGS.workdir or config_flags.default_workdir() + "-ablation")
    folder = RecordedFolder(workdir, "ablation", may_change=("finetune_epochs",))
    recorded = config.replace(seed=TrainingConfig().seed)  # seeds may be added later
    options = {"finetune_epochs": finetune_epochs}
    if folder.check(recorded, options, resume=FLAGS.resume):
        epochs = folder.read_config()[0].epochs
        if epochs != config.epochs and any(workdir.glob("*/seed-*-finetuned")):
            raise UserError(
                f"The ablation in {workdir} has fine-tuned runs, which started after {epochs} "
                f"epochs. Keep --epochs={epochs}, or choose another folder."
            )
    jobs = {}
    for seed in seeds:
        for name, row in rows.items():
            commands = _commands(config, workdir, name, seed, finetune_epochs)
            job = f"{row.trained_as or name}, seed {seed}"
            jobs[job] = max(jobs.get(job, []), commands, key=len)
    corpus = factory.build_corpus(config)
    with folder.lock():
        folder.begin(recorded, corpus, options)
        print(f"folder: {workdir}")
        print(f"{len(jobs)} runs, each with a log.txt in its folder", flush=True)
        ended = []

        def on_end(job, diverged):
            ended.append(job)
            print(f"{len(ended)} of {len(jobs)} ended: {job}{', diverged' * diverged}", flush=True)
            folder.write("ablation.md", _table(workdir, config.corpus, finetune_epochs > 0))

        try:
            parallel_runs(jobs, FLAGS.processes, on_end)
        except KeyboardInterrupt:
            print("interrupted; run the same command again to resume")
            raise
    table = workdir / "ablation.md"
    print(f"\n{table.read_text(encoding='utf-8')}\ntable: {table}")


def _rows():
    unknown = [name for name in FLAGS.rows if name not in ROWS]
    if unknown or not FLAGS.rows:
        raise UserError(
            f"--rows must be chosen from {','.join(ROWS)}. Received: {','.join(FLAGS.rows)}"
        )
    return {name: row for name, row in ROWS.items() if name in FLAGS.rows}


def _seeds(config):
    if FLAGS.seeds is None:
        return [config.seed]
    try:
        return dict.fromkeys(map(int, FLAGS.seeds or [""]))
    except ValueError:
        raise UserError(f"--seeds must be integers. Received: {','.join(FLAGS.seeds)}") from None


def _commands(config, workdir, name, seed, finetune_epochs):
    row = ROWS[name]
    changes = {k: v(config) if callable(v) else v for k, v in row.changes.items()}
    changed = config.replace(**changes)
    if changes and changed == config:
        raise UserError(
            f"The row {name} changes nothing: the full model already has {changes}. Omit the row."
        )
    path = os.path.join(workdir, row.trained_as or name, f"seed-{seed}")
    commands = [
        ["trainers.ptb", *config_flags.flags_of(changed.replace(seed=seed)), f"--workdir={path}"]
    ]
    if row.fine_tuned and finetune_epochs:
        output = f"--output_workdir={path}-finetuned"
        epochs = f"--epochs={finetune_epochs}"
        commands.append(["trainers.finetune", f"--workdir={path}", output, epochs])
    return commands


def _table(workdir, corpus, is_fine_tuned):
    """Returns the table of all finished runs in the folder, in Markdown."""
    paper = "wikitext2" if corpus == "wikitext2" else "ptb"
    lines = [f"| row | validation | test | change | paper, {paper} | change |", "| --- " * 6 + "|"]
    full, paper_full = None, getattr(ROWS["full"], paper)[0]
    for name, row in ROWS.items():
        pattern = "seed-*[0-9]" + "-finetuned" * (row.fine_tuned and is_fine_tuned)
        folders = sorted((workdir / (row.trained_as or name)).glob(pattern))
        results = [results for f in folders if (results := RunFolder(f).read_results())]
        if not folders:
            continue
        validation, test = (
            [r[split]["perplexity"] for r in results if r[split]]
            for split in ("validation", "test")
        )
        full = statistics.fmean(validation) if name == "full" and validation else full
        change = f"{statistics.fmean(validation) - full:+.2f}" if validation and full else "-"
        published = getattr(row, paper)
        cells = [row.title, _mean(validation), _mean(test), change]
        cells += [f"{published[0]} / {published[1]}", f"{published[0] - paper_full:+.1f}"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def _mean(values):
    if not values:
        return "-"
    spread = f" ± {statistics.stdev(values):.2f}" if len(values) > 1 else ""
    return f"{statistics.fmean(values):.2f}{spread}"
