"""A servable without a model: what it was asked is on record, its answer is given."""

import numpy as np
from tensorflow.core.framework import types_pb2
from tensorflow.core.protobuf import meta_graph_pb2


class StandInServable:
    """Version 3 of the model `lm`, of one signature, which takes `text` and gives `loss`.

    Args:
        error: None, or what a request raises.
    """

    name, version, labels = "lm", 3, ("stable",)

    def __init__(self, error=None):
        self.error = error
        self.calls = []
        signature = meta_graph_pb2.SignatureDef()
        signature.inputs["text"].dtype = types_pb2.DT_STRING
        self.signatures = {"serving_default": signature}

    def input_dtypes(self, signature_name):
        return {"text": np.dtype(object)}

    def predict(self, signature_name, inputs, output_filter=(), timeout=None):
        self.calls.append((signature_name, inputs, output_filter, timeout))
        if self.error is not None:
            raise self.error
        return {"loss": np.float32([0.5, 2.0])}
