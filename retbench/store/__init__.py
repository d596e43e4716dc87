"""The store: artifacts on disk by key, each written completely or not at all."""

from retbench.store.artifact import Artifact
from retbench.store.records import RunRecords
from retbench.store.store import Store

__all__ = ["Artifact", "RunRecords", "Store"]
