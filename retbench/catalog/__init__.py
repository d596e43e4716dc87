"""Which components there are, and which plugins are broken and why."""

from retbench.catalog.catalog import Catalog, Entry, load_catalog
from retbench.catalog.discover import Broken, Discovery, Origin, discover

__all__ = ["Broken", "Catalog", "Discovery", "Entry", "Origin", "discover", "load_catalog"]
