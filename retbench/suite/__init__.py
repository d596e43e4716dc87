"""Read and check a suite file, fill in its defaults, and expand it into cells."""

from retbench.suite.matrix import Cell, expand
from retbench.suite.model import AXES, Suite
from retbench.suite.read import LoadedSuite, find_suite, read_suite, shipped_suites
from retbench.suite.selection import Only, Selection, read_selection

__all__ = [
    "AXES",
    "Cell",
    "LoadedSuite",
    "Only",
    "Selection",
    "Suite",
    "expand",
    "find_suite",
    "read_selection",
    "read_suite",
    "shipped_suites",
]
