"""WikiText-2 for TensorFlow Datasets."""
