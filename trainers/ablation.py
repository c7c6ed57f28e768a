r"""Trains a model without each of its parts in turn: the paper's table 4.

  python -m trainers.ablation --data_dir=FOLDER                                  750 epochs a row
  python -m trainers.ablation --data_dir=FOLDER --preset=ptb_small --epochs=40 --seeds=141,1882
  python -m trainers.ablation --preset=demo --rows=full,no_ar_tar --processes=2

Regularizers help only where a model overfits; small texts make it so within few epochs:

  python -m trainers.ablation --data_dir=FOLDER --preset=ptb_small --max_train_tokens=100000 \
      --embedding_dim=100 --hidden_dim=200 --bptt=35 --batch_size=20 --epochs=40 \
      --finetune_epochs=20 --seeds=141,1882 --processes=2 --workdir=runs/ablation-100k

Rows: full; no_fine_tuning (stops before it); no_nt_asgd (SGD whose learning rate is halved on the
same non-monotonic test, not fine-tuned); no_variable_length (every window has --bptt tokens);
no_embedding_dropout, no_weight_decay, no_ar_tar, no_weight_dropping (that rate or weight is 0);
full_sized_embedding (--embedding_dim is --hidden_dim). Every run is a run folder of its own,
ROW/seed-SEED and ROW/seed-SEED-finetuned; ablation.md and ablation.html in --workdir hold the table
beside the paper's, and are written anew after each run.

The same command again goes on where it was, run by run and inside a run. More rows and more seeds
may be added later: the table has all runs of the folder. Other settings need another folder. A run
that diverged would do so again and is not repeated; delete its folder to have it repeated.
"""

import json
import os
import re
import time

from absl import flags

from trainers import command, common, recorded_text, side_by_side
from trainers.config import TrainingConfig
from trainers.errors import UserError
from trainers.record import read_record
from trainers.search.ablation_rows import ABLATION_ROWS, ablation_row

FLAGS = flags.FLAGS
_RECORD = "ablation.json"
_FINETUNED = "-finetuned"
_SEED = re.compile(r"seed-(\d+)")


def main():
    common.define_flags("ptb")
    FLAGS["workdir"].help = "folder of the ablation; default: runs/<preset>-ablation"
    flags.DEFINE_list("rows", list(ABLATION_ROWS), "rows of the table")
    flags.DEFINE_list("seeds", None, "seeds of each row; default: that of the preset")
    flags.DEFINE_integer(
        "finetune_epochs",
        None,
        "most epochs of fine-tuning; default: --epochs; 0: no row is fine-tuned",
        lower_bound=0,
    )
    flags.DEFINE_integer("processes", 1, "runs side by side", lower_bound=1)
    command.main(_ablation)


def _ablation():
    from awd_keras.data import load_corpus
    from trainers.training.folder_lock import folder_lock

    config = common.config_from_flags()
    workdir = os.path.normpath(FLAGS.workdir or common.default_workdir() + "-ablation")
    recorded = common.recorded_setting(os.path.join(workdir, "ablation.json"), "dtype")
    config = config.replace(dtype=common.resolve_dtype(config.dtype, recorded)[0])
    finetune_epochs = config.epochs if FLAGS.finetune_epochs is None else FLAGS.finetune_epochs
    rows, seeds = _check_rows(config, finetune_epochs), _check_seeds(config)
    plan = _Plan(config, finetune_epochs, rows, seeds, workdir)
    if _check_folder(plan) and not FLAGS.resume:
        raise UserError(
            f"{workdir} holds an ablation already. Leave --noresume out to go on with it, or "
            "choose another folder by --workdir."
        )
    corpus = load_corpus(
        config.corpus, config.data_dir, config.max_vocabulary_size, config.max_train_tokens
    )
    plan.text = recorded_text.text_facts(corpus)
    recorded_text.check_same_text(workdir, _read_record(workdir), plan.text, corpus.source)
    with folder_lock(workdir) as lock:
        _check_folder(plan)  # another process may have begun one meanwhile
        plan.begin(_read_record(workdir))
        jobs = plan.jobs()
        print(f"folder: {workdir}")
        print(
            f"{len(jobs)} runs: {len(rows)} rows, {len(seeds)} seeds; {config.epochs} epochs each"
            f", then at most {finetune_epochs} of fine-tuning"
        )
        if plan.diverged:
            print(f"diverged before, not repeated: {', '.join(sorted(plan.diverged))}")
        plan.write_table()
        if not _run(plan, jobs, lock):
            print("interrupted; the same command goes on from here")
            return common.EXIT_INTERRUPTED
    print()
    print(plan.markdown())
    print(f"table: {os.path.join(workdir, 'ablation.md')}, ablation.html")
    return 0


def _check_rows(config, finetune_epochs):
    if not FLAGS.rows:
        raise UserError("rows must name at least one row.")
    for name in FLAGS.rows:
        row = ablation_row(name)
        row.config(config)
        if name == "no_fine_tuning" and not finetune_epochs:
            raise UserError(
                "With --finetune_epochs=0 no row is fine-tuned: leave no_fine_tuning out of --rows."
            )
    # In the paper's order, each once.
    return [name for name in ABLATION_ROWS if name in FLAGS.rows]


def _check_seeds(config):
    if FLAGS.seeds is None:
        return [config.seed]
    try:
        seeds = [int(seed) for seed in FLAGS.seeds]
    except ValueError:
        seeds = []
    if not seeds or len(set(seeds)) < len(seeds):
        raise UserError(
            "seeds must be different integers with commas between them. Received: "
            f"{','.join(FLAGS.seeds)}"
        )
    for seed in seeds:
        config.replace(seed=seed)
    return seeds


class _Plan:
    """What is to be trained, where it lies, and what came out so far."""

    def __init__(self, config, finetune_epochs, rows, seeds, workdir):
        self.config, self.finetune_epochs = config, finetune_epochs
        self.rows, self.seeds, self.workdir = rows, seeds, workdir
        self.diverged, self.text, self.settings = set(), {}, None

    def begin(self, record):
        """Takes over what is on record, and puts it there."""
        self.settings = {name: value for name, value in record.items() if name != "diverged"}
        self.settings = {**(self.settings or self.all_settings()), **self.text}
        # Its folder was deleted: then it is to be made again.
        self.diverged = {
            folder
            for folder in record.get("diverged", ())
            if os.path.isdir(os.path.join(self.workdir, folder))
        }
        self._write_record()

    def all_settings(self):
        """What has to stay as it is, as a dictionary for JSON."""
        return {**self.config.to_dict(), "finetune_epochs": self.finetune_epochs}

    def add_diverged(self, job):
        """Puts on record that the stage of a job that has no results diverged."""
        folders = [os.path.relpath(folder, self.workdir) for _, folder in job.stages]
        self.diverged.add(next(folder for folder in folders if not self._perplexities(folder)))
        self._write_record()

    def _write_record(self):
        from trainers.training.run_folder import write_beside

        content = {**self.settings, "diverged": sorted(self.diverged)}
        write_beside(os.path.join(self.workdir, _RECORD), json.dumps(content, indent=2) + "\n")

    def folder(self, name, seed):
        """The run folder that a row's numbers come from, relative to the table."""
        row = ablation_row(name)
        fine_tuned = row.fine_tuned and self.finetune_epochs
        return f"{row.trained_as or name}/seed-{seed}" + (_FINETUNED if fine_tuned else "")

    def jobs(self):
        """One `Job` for each training, seed by seed, so that a table of all rows comes early."""
        jobs = {}
        for seed in self.seeds:
            for name in self.rows:
                row = ablation_row(name)
                trained_as = row.trained_as or name
                folder = os.path.join(self.workdir, trained_as, f"seed-{seed}")
                config = row.config(self.config).replace(seed=seed)
                stages = ((config, folder),)
                if row.fine_tuned and self.finetune_epochs:
                    fine_tuning = config.fine_tuning(folder, epochs=self.finetune_epochs)
                    stages += ((fine_tuning, f"{folder}{_FINETUNED}"),)
                job = side_by_side.Job(f"{trained_as}, seed {seed}", stages)
                if any(os.path.relpath(f, self.workdir) in self.diverged for _, f in stages):
                    continue
                # The row that goes on from a training has it too.
                if job.name not in jobs or len(stages) > len(jobs[job.name].stages):
                    jobs[job.name] = job
        return list(jobs.values())

    def runs(self):
        """The runs of the table: those that were asked for now, and all that were made before."""
        runs = {}
        for name in self._table_rows():
            asked = self.seeds if name in self.rows else []
            others = [seed for seed in self._seeds_on_disk(name) if seed not in asked]
            made = [
                run
                for run in (self._run(name, seed) for seed in others)
                if run.perplexities or run.diverged
            ]
            runs[name] = [*(self._run(name, seed) for seed in asked), *made]
        return {name: of_row for name, of_row in runs.items() if of_row}

    def _table_rows(self):
        """All rows, but one that has the same numbers as another."""
        return [
            name
            for name in ABLATION_ROWS
            if name in self.rows or self.finetune_epochs or ablation_row(name).trained_as is None
        ]

    def _seeds_on_disk(self, name):
        folder = os.path.join(self.workdir, ablation_row(name).trained_as or name)
        names = os.listdir(folder) if os.path.isdir(folder) else []
        return sorted(int(match[1]) for match in map(_SEED.fullmatch, names) if match)

    def _run(self, name, seed):
        from trainers.reporting import AblationRun

        folder = self.folder(name, seed)
        perplexities = self._perplexities(folder)
        # What fine-tuning would go on from may have diverged already.
        stages = {folder, folder.removesuffix(_FINETUNED)}
        diverged = perplexities is None and not stages.isdisjoint(self.diverged)
        return AblationRun(seed, folder, perplexities, diverged)

    def _perplexities(self, folder):
        """(validation, test) of a finished run, else None."""
        from trainers.training import RunFolder

        results = RunFolder(os.path.join(self.workdir, folder)).read_results()
        if not results or results["reason"] != "finished":
            return None
        return tuple(results[text]["perplexity"] for text in ("validation", "test"))

    def _description(self):
        config = self.config
        text = f"{config.num_layers} LSTMs, {config.embedding_dim}/{config.hidden_dim}"
        tokens = config.max_train_tokens
        part = f", the first {tokens:,} training tokens" if tokens else ""
        after = f", then at most {self.finetune_epochs} of fine-tuning"
        found = {run.seed: None for of_row in self.runs().values() for run in of_row}
        seeds = ", ".join(map(str, found))
        return (
            f"Corpus {config.corpus}{part}; {text}; {config.epochs} epochs"
            f"{after if self.finetune_epochs else ', no fine-tuning'}; seeds {seeds}."
        )

    def markdown(self):
        from trainers.reporting import ablation_markdown

        return ablation_markdown(self.runs(), self.config.corpus, self._description())

    def write_table(self):
        from trainers.reporting import ablation_html
        from trainers.training.run_folder import write_beside

        write_beside(os.path.join(self.workdir, "ablation.md"), self.markdown())
        page = ablation_html(self.runs(), self.config.corpus, self._description())
        write_beside(os.path.join(self.workdir, "ablation.html"), page)


def _read_record(workdir):
    """What ablation.json has; empty without one."""
    return read_record(os.path.join(workdir, _RECORD))


def _check_folder(plan):
    """Says whether the folder holds this ablation; an error if it holds anything else."""
    recorded = _read_record(plan.workdir)
    if recorded:
        # Settings that came later have their defaults.
        recorded = {**TrainingConfig().to_dict(), **recorded}
        harmless = {"data_dir", "seed", "checkpoint_minutes", "tensorboard", "plot"}
        differences = [
            f"{name}: {recorded.get(name)} -> {value}"
            for name, value in plan.all_settings().items()
            if name not in harmless and recorded.get(name) != value
        ]
        if differences:
            raise UserError(
                f"{plan.workdir} holds an ablation with other settings ({'; '.join(differences)}). "
                "Go on with its own, or choose another folder by --workdir."
            )
        return True
    if os.path.isfile(plan.workdir):
        raise UserError(f"{plan.workdir} is a file. Choose another folder by --workdir.")
    # One that was killed as it began leaves at most this.
    if os.path.isdir(plan.workdir) and set(os.listdir(plan.workdir)) - {f"{_RECORD}.partial"}:
        raise UserError(
            f"{plan.workdir} is not empty and holds no ablation.json, so it is not an ablation's. "
            "Choose another folder by --workdir; nothing was changed."
        )
    return False


def _run(plan, jobs, lock):
    from trainers.training.progress import duration

    started, ended, last = time.monotonic(), 0, time.monotonic()
    worked = 0  # jobs that took time: those that were finished before say nothing of the others

    def on_end(job, code):
        nonlocal ended, worked, last
        ended += 1
        if code == common.EXIT_NOT_FINITE:
            plan.add_diverged(job)
            print(f"{job.name}: diverged; the other rows go on")
        plan.write_table()
        now = time.monotonic()
        worked += now - last > 1.0
        last = now
        left = ""
        if worked and ended < len(jobs):
            seconds = (now - started) / worked * (len(jobs) - ended)
            left = f", about {duration(seconds)} left"
        print(f"{ended} of {len(jobs)} runs done: {job.name}{left}", flush=True)

    try:
        if FLAGS.processes == 1:
            return side_by_side.run_in_this_process(jobs, on_end)
        held = () if lock is None else (lock,)
        return side_by_side.run_side_by_side(jobs, FLAGS.processes, on_end, held)
    except side_by_side.JobError as error:
        raise UserError(str(error)) from None


if __name__ == "__main__":
    main()
