"""The small model that comes with the package, as a server reads it."""

from awd_keras import bundled
from serving.saved_model import export_saved_model

NAME = "bundled"


def export_bundled_model(output):
    """Exports the bundled model in 8 bits, for a server to answer in a user's first minute.

    Args:
        output: folder of all models.

    Returns:
        an `Export`; its path is `output/bundled/VERSION`.

    Raises:
        RunFolderError: if the package has no model.
        VersionError: as `export_saved_model`.
    """
    model, vocabulary, config = bundled.load_model(dtype="float32")
    # A user's first minute has no time for requests that nobody makes.
    return export_saved_model(
        model, vocabulary, output, NAME, weights="int8", warmup=False,
        facts={"corpus": config.corpus},
    )  # fmt: skip
