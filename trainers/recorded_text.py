"""What a folder of many runs has on record of the text that all of them share.

A text may move, so its folder may change from one call to the next. Its words may not: numbers of
different texts do not belong in one table.
"""

from trainers.errors import UserError

NAMES = ("vocabulary_digest", "text_digest")


def text_facts(corpus):
    """What tells a text from any other.

    Args:
        corpus: `Corpus`.

    Returns:
        a dictionary of `NAMES` to strings.
    """
    facts = (corpus.vocabulary.digest, corpus.digest)
    return dict(zip(NAMES, facts, strict=True))


def check_same_text(workdir, recorded, facts, source):
    """Finds out whether a folder was begun with this text.

    Args:
        workdir: the folder.
        recorded: what its settings file has; a file of an older version says nothing of a text.
        facts: `text_facts` of the text.
        source: where the text was read from.

    Raises:
        UserError: if it was begun with another.
    """
    if any(recorded.get(name, facts[name]) != facts[name] for name in NAMES):
        raise UserError(
            f"{workdir} was begun with another text than that of {source}. Name its own by "
            "--data_dir, or choose another folder; nothing was changed."
        )
