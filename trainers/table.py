"""Tables for a terminal."""


def format_table(rows, left=(0,)):
    """Lines up rows of texts: some columns to the left, the others to the right.

    Args:
        rows: lists of strings, all of one length; the first is the heading.
        left: numbers of the columns that go to the left.

    Returns:
        lines joined by line ends.

    Example:

    >>> print(format_table([["stage", "perplexity"], ["model", "58.80"]]))
    stage  perplexity
    model       58.80
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if index in left else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )
