"""Where a report comes from: a suite and its store, or bundles."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from retbench.cli.session import Request, Session, open_session
from retbench.errors import UserError
from retbench.report import Gallery, Layout
from retbench.report.claim import Ledger, ledger_of, read_claims
from retbench.report.exhibit import read_gallery
from retbench.report.filename import slug
from retbench.report.layout import common_names, layout_of
from retbench.report.verdict import Judge, judge
from retbench.results import Evidence, Row
from retbench.suite.load import parse_document

if TYPE_CHECKING:
    from retbench.bundle import Bundle


class Source(NamedTuple):
    """What a report is made from.

    Attributes:
        name: what its files are called.
        evidence: rows, and what they rest on.
        layouts: of its tables.
        ledger: the published numbers that its suite names; None without.
        narrowed: whether the rows are a part of the suite's.
        gallery: makes the gallery, or None where there is none.
        known: names that ledgers may use besides those that retbench prints, by axis.
    """

    name: str
    evidence: Evidence
    layouts: tuple[Layout, ...]
    ledger: Ledger | None
    narrowed: bool
    gallery: Callable[[], Gallery | None]
    known: Mapping[str, Sequence[str]]

    def judge(self, against: str | None) -> Judge | None:
        """Returns what puts published numbers beside measured ones: of a ledger by name or path, else of the suite's.

        Raises:
            ClaimError: the ledger is not one.
        """
        ledger = read_claims(against, Path(), self.known) if against else self.ledger
        return None if ledger is None else lambda row, metric, interval: judge(row, metric, interval, ledger)


def open_source(what: Sequence[str], store: Path, how: Mapping[str, Any]) -> Source:
    """Returns the source of a command line: nothing or a suite, or one bundle or several.

    Raises:
        UserError: several suites, a mixture, or nothing of it is done.
    """
    bundles = [word for word in what if word.endswith(".zip")]
    if bundles and len(bundles) < len(what):
        raise UserError(f"report: it takes a suite, or bundles: got {' '.join(what)}")
    if bundles:
        return of_bundles([Path(word) for word in bundles])
    if len(what) > 1:
        raise UserError(f"report: it takes one suite at a time: got {' '.join(what)}")
    return of_session(open_session(Request(what[0] if what else None, **how), store))


def of_session(session: Session) -> Source:
    """Returns the source of an opened suite; raises UserError where nothing of it is done."""
    evidence = session.evidence()
    if not any(row.status == "done" for row in evidence.rows):
        what = _what_to_do(session, evidence.rows)
        raise UserError(f"report: nothing of {session.run_name} is in {session.store.root}: {what}")
    return Source(
        session.run_name.replace("@", "-"),
        evidence,
        session.layouts,
        session.ledger,
        bool(session.request.only),
        lambda: _gallery(session),
        session.known,
    )


def _gallery(session: Session) -> Gallery:
    from retbench.report.gallery import make_gallery

    return make_gallery(session.plan, session.store, printed_name)


def printed_name(axis: str, value: str | int) -> str:
    """Returns what a value of an axis is called in print; combinations are named piece by piece."""
    names = common_names().get(axis, {})
    return names.get(str(value)) or "+".join(names.get(piece, piece) for piece in str(value).split("+"))


def _what_to_do(session: Session, rows: Sequence[Row]) -> str:
    """Returns why there is nothing to report, and what to do about it."""
    statuses = {row.status for row in rows}
    if statuses == {"skipped"}:
        return f"every cell is skipped; `retbench plan {session.loaded.path}` says why"
    if "missing" not in statuses:
        return f"no cell is done; `retbench results {session.loaded.path}` says what failed"
    return f"run it first: retbench run {session.loaded.path}"


def of_bundles(paths: Sequence[Path]) -> Source:
    """Returns the source of bundles, merged where there are several.

    Raises:
        BundleError: one of them cannot be read, or two of them do not go together.
        LayoutError, ClaimError: a layout or a ledger in them is not one.
    """
    from retbench.bundle import merge, open_bundle

    opened = [open_bundle(path) for path in paths]
    bundle = merge(opened) if len(opened) > 1 else opened[0]
    asked = [name for suite in bundle.suites for name in suite.suite["report"]["layout"]]
    order = sorted(bundle.layouts, key=lambda name: asked.index(name) if name in asked else len(asked))
    layouts = [layout_of(parse_document(bundle.layouts[name], f"{bundle.name}: {name}")) for name in order]
    ledgers = [ledger_of(parse_document(text, f"{bundle.name}: {name}")) for name, text in bundle.claims.items()]
    return Source(
        "-".join(slug(path.stem) for path in paths),
        bundle.evidence,
        tuple(layouts),
        next(iter(ledgers), None),
        True,
        lambda: _bundled_gallery(bundle),
        {},
    )


def _bundled_gallery(bundle: Bundle) -> Gallery | None:
    return None if bundle.gallery is None else read_gallery(json.loads(bundle.gallery))
