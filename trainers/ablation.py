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
may be added later; other settings need another folder.
"""

import json
import os
import time

from absl import flags

from awd_keras.ablation import ABLATION_ROWS, ablation_row
from awd_keras.config import ConfigError, TrainingConfig
from trainers import command, common, side_by_side

FLAGS = flags.FLAGS


def main():
    common.define_flags("ptb")
    FLAGS["workdir"].help = "folder of the ablation; default: runs/<preset>-ablation"
    flags.DEFINE_list("rows", list(ABLATION_ROWS), "rows of the table")
    flags.DEFINE_list("seeds", None, "seeds of each row; default: that of the preset")
    flags.DEFINE_integer(
        "finetune_epochs", None, "most epochs of fine-tuning; default: --epochs; 0: no row is "
        "fine-tuned", lower_bound=0)  # fmt: skip
    flags.DEFINE_integer("processes", 1, "runs side by side", lower_bound=1)
    command.main(_ablation)


def _ablation():
    from awd_keras.training import RunFolderError
    from awd_keras.training.folder_lock import folder_lock

    config = common.config_from_flags()
    workdir = os.path.normpath(FLAGS.workdir or common.default_workdir() + "-ablation")
    recorded = common.recorded_setting(os.path.join(workdir, "ablation.json"), "dtype")
    config = config.replace(dtype=common.resolve_dtype(config.dtype, recorded)[0])
    finetune_epochs = config.epochs if FLAGS.finetune_epochs is None else FLAGS.finetune_epochs
    rows, seeds = _check_rows(config, finetune_epochs), _check_seeds(config)
    plan = _Plan(config, finetune_epochs, rows, seeds, workdir)
    if _begin(plan) and not FLAGS.resume:
        raise RunFolderError(
            f"{workdir} holds an ablation already. Leave --noresume out to go on with it, or "
            "choose another folder by --workdir."
        )
    with folder_lock(workdir) as lock:
        jobs = plan.jobs()
        print(f"folder: {workdir}")
        print(f"{len(jobs)} runs: {len(rows)} rows, {len(seeds)} seeds; {config.epochs} epochs each"
              f", then at most {finetune_epochs} of fine-tuning")  # fmt: skip
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
        raise ConfigError("rows must name at least one row.")
    for name in FLAGS.rows:
        row = ablation_row(name)
        row.config(config)
        if name == "no_fine_tuning" and not finetune_epochs:
            raise ConfigError(
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
        raise ConfigError(
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
        self.diverged = set()

    def folder(self, name, seed):
        """The run folder that a row's numbers come from, relative to the table."""
        row = ablation_row(name)
        fine_tuned = row.fine_tuned and self.finetune_epochs
        return f"{row.trained_as or name}/seed-{seed}" + ("-finetuned" if fine_tuned else "")

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
                    stages += ((fine_tuning, f"{folder}-finetuned"),)
                job = side_by_side.Job(f"{trained_as}, seed {seed}", stages)
                # The row that goes on from a training has it too.
                if job.name not in jobs or len(stages) > len(jobs[job.name].stages):
                    jobs[job.name] = job
        return list(jobs.values())

    def runs(self):
        from awd_keras.reporting import AblationRun
        from awd_keras.training import RunFolder

        runs = {}
        for name in self.rows:
            runs[name] = []
            for seed in self.seeds:
                folder = self.folder(name, seed)
                results = RunFolder(os.path.join(self.workdir, folder)).read_results()
                perplexities = None
                if results and results["reason"] == "finished":
                    perplexities = tuple(
                        results[text]["perplexity"] for text in ("validation", "test")
                    )
                diverged = (
                    perplexities is None
                    and os.path.normpath(os.path.join(self.workdir, folder)) in self.diverged
                )
                runs[name].append(AblationRun(seed, folder, perplexities, diverged))
        return runs

    def _description(self):
        config = self.config
        text = f"{config.num_layers} LSTMs, {config.embedding_dim}/{config.hidden_dim}"
        tokens = config.max_train_tokens
        part = f", the first {tokens:,} training tokens" if tokens else ""
        after = f", then at most {self.finetune_epochs} of fine-tuning"
        seeds = ", ".join(map(str, self.seeds))
        return (
            f"Corpus {config.corpus}{part}; {text}; {config.epochs} epochs"
            f"{after if self.finetune_epochs else ', no fine-tuning'}; seeds {seeds}."
        )

    def markdown(self):
        from awd_keras.reporting import ablation_markdown

        return ablation_markdown(self.runs(), self.config.corpus, self._description())

    def write_table(self):
        from awd_keras.reporting import ablation_html
        from awd_keras.training.run_folder import write_beside

        write_beside(os.path.join(self.workdir, "ablation.md"), self.markdown())
        page = ablation_html(self.runs(), self.config.corpus, self._description())
        write_beside(os.path.join(self.workdir, "ablation.html"), page)


def _begin(plan):
    """Makes the folder, or checks that it is this ablation's; returns whether it was there."""
    from awd_keras.training import RunFolderError
    from awd_keras.training.run_folder import write_beside

    path = os.path.join(plan.workdir, "ablation.json")
    settings = {**plan.config.to_dict(), "finetune_epochs": plan.finetune_epochs}
    if os.path.exists(path):
        try:
            with open(path, encoding="utf-8") as file:
                recorded = json.load(file)
            # Settings that came later have their defaults.
            recorded = {**TrainingConfig().to_dict(), **recorded}
        except (ValueError, TypeError) as error:
            raise RunFolderError(f"{path} cannot be read: {error}") from None
        harmless = {"data_dir", "seed", "checkpoint_minutes", "tensorboard", "plot"}
        differences = [
            f"{name}: {recorded.get(name)} -> {value}"
            for name, value in settings.items()
            if name not in harmless and recorded.get(name) != value
        ]
        if differences:
            raise RunFolderError(
                f"{plan.workdir} holds an ablation with other settings ({'; '.join(differences)}). "
                "Go on with its own, or choose another folder by --workdir."
            )
        return True
    if os.path.isdir(plan.workdir) and os.listdir(plan.workdir):
        raise RunFolderError(
            f"{plan.workdir} is not empty and holds no ablation.json, so it is not an ablation's. "
            "Choose another folder by --workdir; nothing was changed."
        )
    os.makedirs(plan.workdir, exist_ok=True)
    write_beside(path, json.dumps(settings, indent=2) + "\n")
    return False


def _run(plan, jobs, lock):
    from awd_keras.training import RunFolderError
    from awd_keras.training.progress import duration

    started, ended, last = time.monotonic(), 0, time.monotonic()
    worked = 0  # jobs that took time: those that were finished before say nothing of the others

    def on_end(job, code):
        nonlocal ended, worked, last
        ended += 1
        if code == common.EXIT_NOT_FINITE:
            plan.diverged.update(os.path.normpath(folder) for _, folder in job.stages)
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
        raise RunFolderError(str(error)) from None


if __name__ == "__main__":
    main()
