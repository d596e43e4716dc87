"""Available components, and broken plugins with the reason."""

from retbench.catalog.catalog import Catalog, Entry, load_catalog
from retbench.catalog.discover import BrokenPlugin, Discovery, Origin, discover

__all__ = ["BrokenPlugin", "Catalog", "Discovery", "Entry", "Origin", "discover", "load_catalog"]
