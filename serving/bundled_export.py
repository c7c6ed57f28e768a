"""The small model that comes with the package, as a server reads it."""

from serving.saved_model import export_saved_model
from trainers.training import bundled

NAME = "bundled"


def export_bundled_model(output):
    """Exports the bundled model in 8 bits, for a server to answer in a user's first minute.

    Args:
        output: folder of all models.

    Returns:
        an `Export`; its path is `output/bundled/VERSION`.

    Raises:
        UserError: if the package has no model.
        UserError: as `export_saved_model`.
    """
    model, vocabulary, config = bundled.load_model(dtype="float32")
    # A user's first minute has no time for requests that nobody makes.
    return export_saved_model(
        model,
        vocabulary,
        output,
        NAME,
        weights="int8",
        warmup=False,
        facts={"corpus": config.corpus},
    )
