r"""Trains a model without each of its parts in turn, as in the paper's table 4.

  python -m trainers.ablation --data_dir=FOLDER                                  750 epochs per row
  python -m trainers.ablation --data_dir=FOLDER --preset=ptb_small --epochs=40 --seeds=141,1882
  python -m trainers.ablation --preset=sotu --rows=full,no_ar_tar --processes=2

Regularization helps only if a model overfits, which takes few epochs on a small text:

  python -m trainers.ablation --data_dir=FOLDER --preset=ptb_small --max_train_tokens=100000 \
      --embedding_dim=100 --hidden_dim=200 --bptt=35 --batch_size=20 --epochs=40 \
      --finetune_epochs=20 --seeds=141,1882 --processes=2 --workdir=runs/ablation-100k

Rows: full; no_fine_tuning; no_nt_asgd (SGD that halves its learning rate when the same test fires,
without fine-tuning); no_variable_length (all windows have --bptt tokens); no_embedding_dropout;
no_weight_decay; no_ar_tar; full_sized_embedding (--embedding_dim equals --hidden_dim);
no_weight_dropping. Every run has its own run folder in --workdir, ROW/seed-SEED and
ROW/seed-SEED-finetuned. ablation.md contains the table, with the paper's numbers.

Run the same command again to resume. Rows and seeds may be added, and
epochs until a row has been fine-tuned.
"""

from absl import flags

from trainers import cli, config_flags
from trainers.search.ablation_rows import ROWS


def main():
    config_flags.define_run_flags("ptb")
    help = "folder of the ablation; default: runs/<preset>[-<recipe>]-ablation"
    flags.FLAGS["workdir"].help = help
    with cli.section("Ablation"):
        flags.DEFINE_list("rows", list(ROWS), "rows to train")
        flags.DEFINE_list("seeds", None, "random seeds for each row; default: --seed")
        help = "maximum number of epochs of fine-tuning; 0: do not fine-tune; default: --epochs"
        flags.DEFINE_integer("finetune_epochs", None, help, lower_bound=0, upper_bound=10**6)
        flags.DEFINE_integer("processes", 1, "number of runs at a time", lower_bound=1)
    cli.main("trainers.commands.ablation", __doc__, check=config_flags.config_from_flags)


if __name__ == "__main__":
    main()
