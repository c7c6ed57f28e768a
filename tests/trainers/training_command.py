"""Tiny texts and flags for the commands that train."""

from tests.trainers.training.tiny import make_config, make_texts
from trainers.config import TrainingConfig

SETTINGS = {
    name: value
    for name, value in make_config(epochs=2, num_layers=1, logging_interval=6).to_dict().items()
    if value != TrainingConfig().to_dict()[name] and name != "corpus"
}


def write_texts(folder):
    """Writes the three texts as files of a new folder."""
    folder.mkdir()
    names = {"train": "train.txt", "validation": "valid.txt", "test": "test.txt"}
    for split, lines in make_texts().items():
        (folder / names[split]).write_text("\n".join(lines) + "\n")
    return folder


def arguments(data_dir, workdir, **changes):
    """Returns a command line with tiny settings."""
    settings = {**SETTINGS, "data_dir": data_dir, "workdir": workdir, **changes}
    return ["--corpus=text", *(f"--{name}={value}" for name, value in settings.items())]


def snapshot(folder):
    """Returns the content of each file below a folder."""
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
