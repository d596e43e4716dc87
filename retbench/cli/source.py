"""Where a report comes from: a suite and its store, or bundles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from retbench.cli.origin import Source
from retbench.cli.session import Request, Session, open_session
from retbench.errors import UserError
from retbench.report import Gallery
from retbench.report.published.claims import read_claims
from retbench.results import Row

__all__ = ["Source", "of_session", "open_source"]


def open_source(what: Sequence[str], store: Path, how: Mapping[str, Any]) -> Source:
    """Returns the source of a command line: nothing or a suite, or one bundle or several.

    Raises:
        UserError: several suites, a mixture, nothing of it is done, or options that do not go with bundles.
    """
    bundles = [word for word in what if word.endswith(".zip")]
    if bundles and len(bundles) < len(what):
        raise UserError(f"report: it takes a suite, or bundles: got {' '.join(what)}")
    if bundles:
        from retbench.cli.bundles import of_bundles

        return of_bundles([Path(word) for word in bundles], how)
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
        lambda name: read_claims(name, Path(), session.known) if name else session.ledger,
        bool(session.request.only),
        lambda: _gallery(session),
    )


def _gallery(session: Session) -> Gallery:
    from retbench.report.gallery.gallery import make_gallery

    return make_gallery(session.plan, session.store)


def _what_to_do(session: Session, rows: Sequence[Row]) -> str:
    """Returns why there is nothing to report, and what to do about it."""
    statuses = {row.status for row in rows}
    if statuses == {"skipped"}:
        return f"every cell is skipped; `retbench plan {session.loaded.path}` says why"
    if "missing" not in statuses:
        return f"no cell is done; `retbench results {session.loaded.path}` says what failed"
    return f"run it first: retbench run {session.loaded.path}"
