import re

import numpy as np
import pytest

from awd_keras.data import Tokenizer
from awd_keras.data.tokenizer import BASIC_TOKEN
from awd_keras.errors import InputError


@pytest.mark.parametrize(
    "line, tokens",
    [
        ("The U.S. (again) said: “No!”", "The U . S . ( again ) said : “ No ! ”"),
        ("It's 5 o’clock in a well-run state --", "It's 5 o’clock in a well-run state - -"),
        ("$1,400.50, 3.5% of 1990s; 1/2.", "$ 1,400.50 , 3.5 % of 1990s ; 1 / 2 ."),
        ("'quoted' rock-'n'-roll's-", "' quoted ' rock - ' n ' - roll's -"),
        ("<unk>s and <eos> </s><s> <UNK>", "<unk> s and <eos> </s> <s> < UNK >"),
        ("naïve\u00a0café。\u3000猫と犬、¿qué?", "naïve café 。 猫と犬 、 ¿ qué ?"),
        ("good 👍🏽 job", "good 👍 🏽 job"),
        ("", ""),
    ],
)
def test_basic(line, tokens):
    assert list(Tokenizer("basic").split(line)) == tokens.split()


def test_characters():
    tokenizer = Tokenizer("character")
    assert list(tokenizer.split(" a\tcafé <")) == [" ", "a", "\t", "c", "a", "f", "é", " ", "<"]
    assert tokenizer.join(["a", " ", "b"]) == "a b"


def test_lower_case_of_each_character():
    assert list(Tokenizer(lowercase=True).split("ΟΔΟΣ İ ẞ <UNK>")) == ["οδοσ", "i", "ß", "<unk>"]
    tokens = "".join(Tokenizer("character", lowercase=True).split("ΑΣ İA"))
    assert tokens == "ασ ia"


def test_byte_order_marks_are_skipped():
    assert list(Tokenizer().split("\ufeff\ufeffthe \ufeffcat")) == ["the", "\ufeffcat"]


@pytest.mark.parametrize(
    "name, expected",
    [("whitespace", str.split), ("basic", re.compile(BASIC_TOKEN).findall), ("character", list)],
)
def test_long_lines(name, expected):
    spaces = [chr(code) for code in range(0x3001) if chr(code).isspace()]
    characters = [*"abcdefgh.,-'123", *spaces]
    generator = np.random.default_rng(0)
    for line in ("".join(generator.choice(characters, size=300_000)), "a-" * 100_000, " " * 70_000):
        assert list(Tokenizer(name).split(line)) == expected(line)


def test_unknown_tokenizer():
    with pytest.raises(InputError, match="must be one of .* Received: 'word'"):
        Tokenizer("word")
