"""Artifacts by key, on disk, whole or absent."""

from retbench.store.artifact import Artifact
from retbench.store.store import Store

__all__ = ["Artifact", "Store"]
