"""Bundles: results in one file that can be shared, verified and merged."""

from retbench.bundle.bundle import Bundle, open_bundle
from retbench.bundle.export import export_bundle
from retbench.bundle.merge import merge
from retbench.bundle.verify import Finding, Verification, verify_bundle

__all__ = ["Bundle", "Finding", "Verification", "export_bundle", "merge", "open_bundle", "verify_bundle"]
