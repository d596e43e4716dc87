"""What a report is made from, wherever it comes from."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from retbench.report import Gallery, Layout
from retbench.report.published.claims import Ledger
from retbench.report.published.verdict import Judge, judge
from retbench.results import Evidence


class Source(NamedTuple):
    """What a report is made from.

    Attributes:
        name: what its files are called.
        evidence: rows, and what they rest on.
        layouts: of its tables.
        ledger: reads published numbers: by name or path, or, of None, those that its suite names, if it names any.
        narrowed: whether the rows are a part of the suite's.
        gallery: makes the gallery, or None where there is none.
    """

    name: str
    evidence: Evidence
    layouts: tuple[Layout, ...]
    ledger: Callable[[str | None], Ledger | None]
    narrowed: bool
    gallery: Callable[[], Gallery | None]

    def judge(self, against: str | None) -> Judge | None:
        """Returns what puts published numbers beside measured ones: of a ledger by name or path, else of the suite's.

        Raises:
            ClaimError: the ledger is not one.
            UserError: bundles are judged by several.
        """
        ledger = self.ledger(against)
        return None if ledger is None else lambda row, metric, interval: judge(row, metric, interval, ledger)
