"""Bundles as the source of a report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from retbench.bundle import Bundle, merge, open_bundle
from retbench.catalog import load_catalog
from retbench.cli.origin import Source
from retbench.document import parse_document
from retbench.errors import BundleError, UserError
from retbench.report import Gallery, Layout
from retbench.report.filename import slug
from retbench.report.gallery.exhibit import Exhibit, read_gallery
from retbench.report.published.claims import Ledger, ledger_of, read_claims
from retbench.report.tables.layout import layout_of
from retbench.results import Evidence, Row
from retbench.suite import AXES, read_selection
from retbench.suite.model import COMPONENT_AXES

OF_SUITES = {"profile": "", "sets": (), "device": "auto", "precision": "auto"}
"""Options that change or plan a suite, and what they are where nobody gave them."""


def of_bundles(paths: Sequence[Path], how: Mapping[str, Any]) -> Source:
    """Returns the source of bundles, merged where there are several; `--only` narrows their rows.

    A narrowed source has no gallery: exhibits name their cells as they are printed, not by the values of axes.

    Raises:
        BundleError: one of them cannot be read, or two of them do not go together.
        LayoutError: a layout in them is not one.
        UserError: an option that goes with suites alone, or an `only` that is malformed or keeps no row with a number.
    """
    for name, default in OF_SUITES.items():
        if how.get(name, default) != default:
            option = "--set" if name == "sets" else f"--{name}"
            raise UserError(f"report: {option} goes with a suite: a bundle's rows stay as they were computed")
    only = tuple(how.get("only", ()))
    opened = [open_bundle(path) for path in paths]
    bundle = merge(opened)
    names = " and ".join(each.name for each in opened)
    notice = f"{names}, as it states the numbers; `retbench verify` computes them again"
    evidence = replace(_narrowed(bundle.evidence, only), notice=notice)
    return Source(
        "-".join(slug(path.stem) for path in paths),
        evidence,
        _layouts(bundle),
        lambda name: _ledger(opened, name, bundle.evidence.rows),
        True,
        lambda: None if only else joined([gallery for each in opened for gallery in read_galleries(each)]),
    )


def _narrowed(evidence: Evidence, only: Sequence[str]) -> Evidence:
    """Return the rows that a selection keeps, and what they rest on."""
    rows = read_selection(only).select(evidence.rows, getattr, "these rows")
    if not any(row.status == "done" for row in rows):
        raise UserError(f"--only: no row with numbers is left: got {' '.join(only)}")
    return replace(evidence, rows=tuple(rows))


def _layouts(bundle: Bundle) -> tuple[Layout, ...]:
    """Returns the layouts of a bundle, in the order that its suites name them."""
    asked = dict.fromkeys(name for suite in bundle.suites for name in suite.suite["report"]["layout"])
    names = dict.fromkeys((*asked, *bundle.layouts))
    return tuple(layout_of(parse_document(bundle.layouts[name], f"{bundle.name}: {name}")) for name in names)


def _ledger(opened: Sequence[Bundle], name: str | None, rows: Sequence[Row]) -> Ledger | None:
    """Returns published numbers: of a name, in the bundles or else installed or on the disk; of None, the suites' own.

    Raises:
        UserError: several bundles have different ones.
    """
    found: dict[str, str] = {}
    for bundle in opened:
        (suite,) = bundle.suites
        called = name or suite.suite["report"].get("claims")
        if called and called in bundle.claims:
            found.setdefault(bundle.claims[called], f"{called} of {bundle.name}")
    if len(found) > 1:
        told = " and ".join(list(found.values())[:2])
        raise UserError(f"report: different published numbers: got {told}; choose some with --against NAME or FILE")
    known = _known(rows)
    if found:
        ((text, where),) = found.items()
        return ledger_of(parse_document(text, where), known)
    return read_claims(name, Path(), known) if name else None


def _known(rows: Sequence[Row]) -> dict[str, set[str]]:
    """Returns the names that ledgers may use, by axis: those of the rows, and of what is installed."""
    catalog = load_catalog()
    known = {axis: {piece for row in rows for piece in str(getattr(row, axis)).split("+")} for axis in AXES}
    return {**known, **{axis: {*known[axis], *catalog.names(kind)} for axis, kind in COMPONENT_AXES.items()}}


def read_galleries(bundle: Bundle) -> list[Gallery]:
    """Returns the galleries of a bundle; raises BundleError for one that is none."""
    try:
        return [read_gallery(gallery) for gallery in bundle.galleries]
    except UserError as error:
        raise BundleError(f"{bundle.name}: gallery.json: {error}") from None


def joined(galleries: Sequence[Gallery]) -> Gallery | None:
    """Returns several galleries as one, every exhibit and every picture once; None for no gallery."""
    images: dict[bytes, int] = {}
    exhibits: dict[Exhibit, None] = {}
    for gallery in galleries:
        places = [images.setdefault(image, len(images)) for image in gallery.images]
        exhibits |= dict.fromkeys(_moved(exhibit, places) for exhibit in gallery.exhibits)
    return Gallery(tuple(exhibits), tuple(images)) if galleries else None


def _moved(exhibit: Exhibit, places: Sequence[int]) -> Exhibit:
    """Returns an exhibit whose pictures lie at other places."""
    rankings = tuple(
        ranking._replace(hits=tuple(hit._replace(image=places[hit.image]) for hit in ranking.hits))
        for ranking in exhibit.rankings
    )
    return exhibit._replace(
        clean=places[exhibit.clean],
        perturbation=places[exhibit.perturbation],
        attacked=places[exhibit.attacked],
        purified=None if exhibit.purified is None else places[exhibit.purified],
        rankings=rankings,
    )
