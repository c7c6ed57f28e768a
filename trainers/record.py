"""The JSON file in which a folder of many runs keeps its settings."""

import json


def read_record(path):
    """Reads the file.

    Args:
        path: the file.

    Returns:
        a dictionary; empty without the file.

    Raises:
        RunFolderError: if it holds anything else.
    """
    from awd_keras.training import RunFolderError

    try:
        with open(path, encoding="utf-8") as file:
            return dict(json.load(file))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (ValueError, TypeError) as error:
        raise RunFolderError(f"{path} cannot be read: {error}") from None
