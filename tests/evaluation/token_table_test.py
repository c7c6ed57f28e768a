import numpy as np
import pytest

from awd_keras.data import Vocabulary
from awd_keras.evaluation import TokenTable

VOCABULARY = Vocabulary(["<unk>", "<eos>", "naïve", "cat"])


def add(table, *targets):
    ranks = np.arange(len(targets))
    table.add(np.array([targets]), np.full((1, len(targets)), -1.25), ranks[np.newaxis])


def test_rows_in_the_order_of_the_words(tmp_path):
    path = tmp_path / "words.tsv"
    with TokenTable(path, VOCABULARY) as table:
        add(table, 2, 3)
        assert not path.exists()
        add(table, 1)
    assert path.read_bytes().decode() == (
        "word\tlog_probability\trank\nnaïve\t-1.250000\t0\ncat\t-1.250000\t1\n<eos>\t-1.250000\t0\n"
    )
    assert [file.name for file in tmp_path.iterdir()] == ["words.tsv"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_after_an_exception_the_one_before_remains(tmp_path, error):
    path = tmp_path / "words.tsv"
    path.write_text("before")
    with pytest.raises(error):
        with TokenTable(path, VOCABULARY) as table:
            add(table, 2, 3)
            raise error
    assert path.read_text() == "before"
    assert [file.name for file in tmp_path.iterdir()] == ["words.tsv"]


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError):
        with TokenTable(tmp_path / "nowhere" / "words.tsv", VOCABULARY):
            pass
