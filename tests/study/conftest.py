"""The fixtures of the command line, for studies of toy components."""

from tests.cli.conftest import change, retbench, toys

__all__ = ["change", "retbench", "toys"]
