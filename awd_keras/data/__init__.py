"""Corpora, vocabularies, batches and windows."""

from awd_keras.data.batching import batchify, bptt_windows
from awd_keras.data.corpus import Corpus
from awd_keras.data.load import CORPORA, load_corpus
from awd_keras.data.sotu import KNESER_NEY_TRIGRAM
from awd_keras.data.text_files import read_text_folder
from awd_keras.data.tokenizer import Tokenizer
from awd_keras.data.vocabulary import EOS, UNK, Vocabulary
from awd_keras.data.windows import WindowSchedule, window_dataset

__all__ = [
    "CORPORA",
    "EOS",
    "KNESER_NEY_TRIGRAM",
    "UNK",
    "Corpus",
    "Tokenizer",
    "Vocabulary",
    "WindowSchedule",
    "batchify",
    "bptt_windows",
    "load_corpus",
    "read_text_folder",
    "window_dataset",
]
