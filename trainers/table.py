"""Tables for the terminal."""


def format_table(rows, left=(0,)):
    """Aligns the columns of a table to the right, or to the left if their index is in `left`.

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
