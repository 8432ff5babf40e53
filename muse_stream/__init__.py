"""MUSE as a running system: lifelong-interest retrieval and scoring on Kafka (arXiv 2512.07216)."""

from importlib.metadata import version

__version__ = version("muse-stream")
__all__ = ["__version__"]
