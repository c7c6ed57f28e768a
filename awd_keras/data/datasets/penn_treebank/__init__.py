"""Penn Treebank for TensorFlow Datasets."""
