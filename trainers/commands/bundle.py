"""Turns a trained run into the model that comes with the package."""

from absl import flags

from awd_keras import bundled_model
from trainers.errors import UserError
from trainers.training import RunFolder, factory

FLAGS = flags.FLAGS


def main():
    if FLAGS.workdir is None:
        raise UserError("--workdir is required: the folder of a trained run.")
    run = RunFolder(FLAGS.workdir)
    model, vocabulary, config = factory.load_run(FLAGS.workdir, "float32")
    if config.rnn != "lstm" or config.adaptive_softmax_cutoffs:
        raise UserError(
            "A bundled model must consist of LSTMs and a full softmax. Received: "
            f"--rnn={config.rnn} --adaptive_softmax_cutoffs={config.adaptive_softmax_cutoffs}"
        )
    results = run.read_results()
    if not results or not results["test"]:
        raise UserError(
            f"The run in {FLAGS.workdir} must have a test perplexity; run its command again."
        )
    facts = {
        # Paths on this machine are of no use to others.
        "settings": config.replace(data_dir=None, initial_run=None).to_dict(),
        "corpus": {"name": run.read_config()[1]["name"]},
        "results": {split: results[split] for split in ("validation", "test")},
    }
    folder = FLAGS.output or bundled_model.FOLDER
    bundled_model.write_bundled_model(model, vocabulary, facts, folder)
    print(f"wrote {folder}: {len(vocabulary):,} words, {model.count_params():,} parameters")
