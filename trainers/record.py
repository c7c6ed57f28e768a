"""The JSON file in which a folder of many runs keeps its settings."""

import json

from trainers.errors import UserError


def read_record(path):
    """Reads the file.

    Args:
        path: the file.

    Returns:
        a dictionary; empty without the file.

    Raises:
        UserError: if it holds anything else.
    """
    try:
        with open(path, encoding="utf-8") as file:
            return dict(json.load(file))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (ValueError, TypeError) as error:
        raise UserError(f"{path} cannot be read: {error}") from None
