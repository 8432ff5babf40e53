"""MUSE as a running system: lifelong-interest retrieval and scoring on Kafka (arXiv 2512.07216)."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("muse-stream")
except PackageNotFoundError:  # a checkout that is not installed
    __version__ = "0+checkout"

__all__ = ["__version__"]
