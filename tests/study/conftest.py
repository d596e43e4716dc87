"""The command line with the toy components, for studies that it opens."""

from tests.cli.conftest import change, retbench, toys

__all__ = ["change", "retbench", "toys"]
