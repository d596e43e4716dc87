"""Studies as bundles, and bundles, merged where there are several, as the source of a report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from retbench.bundle import Bundle, export_bundle, merge, open_bundle
from retbench.canon import canonical
from retbench.catalog import load_catalog
from retbench.document import parse_document
from retbench.errors import BundleError, UserError
from retbench.report import Gallery, Layout
from retbench.report.filename import slug
from retbench.report.gallery.exhibit import Exhibit, gallery_record, read_gallery
from retbench.report.published.claims import Ledger, find_claims, ledger_of, read_claims, shipped_claims
from retbench.report.tables.layout import find_layout, layout_of
from retbench.results import Evidence, Row
from retbench.study.layouts import component_names
from retbench.study.reports import Source, source_of
from retbench.suite import AXES, Selection

if TYPE_CHECKING:
    from retbench.study.study import Study


class Export(NamedTuple):
    """A written bundle: where it is, its size in bytes, its rows, and how many of them are done."""

    path: Path
    size: int
    rows: int
    done: int


def check_path(path: Path, *, force: bool = False) -> None:
    """Raise UserError for a path that a bundle cannot have, or, without `force`, one that is taken."""
    if path.suffix != ".zip":
        raise UserError(f"{path}: a bundle is a zip file: got the ending {path.suffix!r}, expected '.zip'")
    if path.exists() and not force:
        raise UserError(f"{path}: it is there already; --force replaces it")


def export_study(study: Study, path: Path) -> Export:
    """Write the results of a study to a bundle, with the codes and labels that they can be computed from.

    Raises:
        UserError: nothing of the study is done.
        BundleError: an artifact behind a row is damaged or gone, or the file cannot be written.
    """
    evidence, loaded = study.evidence(), study.loaded
    fields, extra = loaded.suite.model_dump(mode="json"), make_attachments(study)
    size = export_bundle(path, evidence, study.planned, study.store, fields, loaded.profile, extra)
    return Export(path, size, len(evidence.rows), sum(row.status == "done" for row in evidence.rows))


def make_attachments(study: Study) -> Mapping[str, bytes]:
    """Return what goes into a bundle beside the results: layouts and claims as they are written, and the gallery.

    The claims are those that the suite names, and all that came with retbench, so that a bundle can be compared with
    them as they were.
    """
    report, beside = study.loaded.suite.report, study.loaded.path.parent
    layouts = {name: find_layout(name, beside).read_text(encoding="utf-8") for name in report.layout}
    ledgers = {name: find_claims(name, beside) for name in (report.claims, *shipped_claims()) if name}
    claims = {name: path.read_text(encoding="utf-8") for name, path in ledgers.items()}
    found = {"layouts.json": canonical(layouts).encode(), "claims.json": canonical(claims).encode()}
    gallery = source_of(study).gallery()
    return found if gallery is None else {**found, "gallery.json": canonical(gallery_record(gallery)).encode()}


def open_bundles(paths: Sequence[Path], only: Selection) -> Source:
    """Return bundles as the source of a report, merged where there are several; `only` narrows their rows.

    A narrowed source has no gallery: exhibits name their cells as they are printed, not by the values of axes.

    Raises:
        BundleError: one of them cannot be read, or two of them do not go together.
        LayoutError, DocumentError: a layout in them is not one.
        UserError: `only` names an unknown value, or keeps no row with a number.
    """
    opened = [open_bundle(path) for path in paths]
    bundle = merge(opened)
    names = " and ".join(each.name for each in opened)
    notice = f"{names}, as it states the numbers; `retbench verify` computes them again"
    return Source(
        "-".join(slug(path.stem) for path in paths),
        replace(_narrowed(bundle.evidence, only), notice=notice),
        _layouts(bundle),
        lambda name: _ledger(opened, name, bundle.evidence.rows),
        True,
        lambda: (
            None if only.filters else join_galleries([gallery for each in opened for gallery in read_galleries(each)])
        ),
    )


def _narrowed(evidence: Evidence, only: Selection) -> Evidence:
    """Return the rows that a selection keeps, and what they rest on."""
    rows = only.select(evidence.rows, getattr, "these rows")
    if not any(row.status == "done" for row in rows):
        raise UserError(f"{only.where}: no row with numbers is left: got {' '.join(only.texts)}")
    return replace(evidence, rows=tuple(rows))


def _layouts(bundle: Bundle) -> tuple[Layout, ...]:
    """Return the layouts of a bundle, in the order that its suites name them."""
    asked = dict.fromkeys(name for suite in bundle.suites for name in suite.suite["report"]["layout"])
    names = dict.fromkeys((*asked, *bundle.layouts))
    return tuple(layout_of(parse_document(bundle.layouts[name], f"{bundle.name}: {name}")) for name in names)


def _ledger(opened: Sequence[Bundle], name: str | None, rows: Sequence[Row]) -> Ledger | None:
    """Return published numbers: of a name, in the bundles or else installed or on the disk; of None, the suites' own.

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
        two = " and ".join(list(found.values())[:2])
        raise UserError(f"report: different published numbers: got {two}; choose some with --against NAME or FILE")
    known = _known(rows)
    if found:
        ((text, where),) = found.items()
        return ledger_of(parse_document(text, where), known)
    return read_claims(name, Path(), known) if name else None


def _known(rows: Sequence[Row]) -> dict[str, set[str]]:
    """Return the names that ledgers may use, by axis: those of the rows, and of what is installed."""
    known = {axis: {piece for row in rows for piece in str(getattr(row, axis)).split("+")} for axis in AXES}
    return {**known, **{axis: {*known[axis], *names} for axis, names in component_names(load_catalog()).items()}}


def read_galleries(bundle: Bundle) -> list[Gallery]:
    """Return the galleries of a bundle; raises BundleError for one that is none."""
    try:
        return [read_gallery(gallery) for gallery in bundle.galleries]
    except UserError as error:
        raise BundleError(f"{bundle.name}: gallery.json: {error}") from None


def join_galleries(galleries: Sequence[Gallery]) -> Gallery | None:
    """Return several galleries as one, every exhibit and every picture once; None for no gallery."""
    images: dict[bytes, int] = {}
    exhibits: dict[Exhibit, None] = {}
    for gallery in galleries:
        places = [images.setdefault(image, len(images)) for image in gallery.images]
        exhibits |= dict.fromkeys(_moved(exhibit, places) for exhibit in gallery.exhibits)
    return Gallery(tuple(exhibits), tuple(images)) if galleries else None


def _moved(exhibit: Exhibit, places: Sequence[int]) -> Exhibit:
    """Return an exhibit whose pictures lie at other places."""
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
