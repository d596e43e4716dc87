"""Export a study to a bundle, and make the report of bundles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from retbench.bundle import Bundle, export_bundle, merge, open_bundle
from retbench.canon import canonical
from retbench.catalog import load_catalog
from retbench.document import parse_document
from retbench.errors import BundleError, UserError, option_name
from retbench.report import Gallery, Layout
from retbench.report.filename import slug
from retbench.report.gallery.exhibit import Exhibit, gallery_record, read_gallery
from retbench.report.published.claims import Ledger, find_claims, ledger_of, read_claims, shipped_claims
from retbench.report.tables.layout import find_layout, layout_of
from retbench.results import Evidence, Row
from retbench.study.layouts import list_component_names
from retbench.study.reports import ReportSource, study_source
from retbench.suite import AXES, Selection

if TYPE_CHECKING:
    from retbench.study.study import Study


class WrittenBundle(NamedTuple):
    """A written bundle: its path, its size in bytes, its number of rows, and the number of rows with results."""

    path: Path
    size: int
    rows: int
    done: int


def check_bundle_path(path: Path, *, force: bool = False) -> None:
    """Raise UserError for a path that does not end in `.zip`, or, without `force`, for an existing file."""
    if path.suffix != ".zip":
        raise UserError(f"{path}: a bundle is a zip file: got the ending {path.suffix!r}, expected '.zip'")
    if path.exists() and not force:
        raise UserError(f"{path}: already exists; replace it with --force")


def export_study(study: Study, path: Path) -> WrittenBundle:
    """Write the results of a study to a bundle, with the codes and labels that they are computed from.

    Raises:
        UserError: no cell of the study has results.
        BundleError: an artifact behind a row is damaged or missing, or the file cannot be written.
    """
    evidence, loaded = study.evidence(), study.loaded
    fields, extra = loaded.suite.model_dump(mode="json"), make_attachments(study)
    size = export_bundle(path, evidence, study.planned, study.store, fields, loaded.profile, extra)
    return WrittenBundle(path, size, len(evidence.rows), sum(row.status == "done" for row in evidence.rows))


def make_attachments(study: Study) -> Mapping[str, bytes]:
    """Return the layouts, the published numbers and the gallery of a study's bundle, by member.

    The published numbers are those that the suite names and all shipped ones, so that the bundle can later be compared
    with them as they were at the export.
    """
    report, suite_folder = study.loaded.suite.report, study.loaded.path.parent
    layouts = {name: find_layout(name, suite_folder).read_text(encoding="utf-8") for name in report.layout}
    ledgers = {name: find_claims(name, suite_folder) for name in (report.claims, *shipped_claims()) if name}
    claims = {name: path.read_text(encoding="utf-8") for name, path in ledgers.items()}
    texts = {"layouts.json": canonical(layouts).encode(), "claims.json": canonical(claims).encode()}
    gallery = study_source(study).gallery()
    return texts if gallery is None else {**texts, "gallery.json": canonical(gallery_record(gallery)).encode()}


def open_bundles(paths: Sequence[Path], only: Selection) -> ReportSource:
    """Return the data of a report of bundles; several are merged, and `only` selects rows.

    A selection has no gallery: exhibits name their cells as they are printed, not by the values of axes.

    Raises:
        BundleError: a bundle cannot be read, or two of them cannot be merged.
        LayoutError, DocumentError: a layout in a bundle is invalid.
        UserError: `only` names an unknown value, or selects no row with results.
    """
    bundles = [open_bundle(path) for path in paths]
    merged = merge(bundles)
    names = " and ".join(bundle.name for bundle in bundles)
    notice = f"numbers as stated in {names}; `retbench verify` computes them again"
    return ReportSource(
        "-".join(slug(path.stem) for path in paths),
        replace(_select_rows(merged.evidence, only), notice=notice),
        _read_layouts(merged),
        lambda name: _find_ledger(bundles, name, merged.evidence.rows),
        True,
        lambda: (
            None
            if only.filters
            else join_galleries([gallery for bundle in bundles for gallery in read_galleries(bundle)])
        ),
    )


def _select_rows(evidence: Evidence, only: Selection) -> Evidence:
    """Return the evidence with the selected rows only; raises UserError if none of them has results."""
    rows = only.select(evidence.rows, getattr, "these rows")
    if not any(row.status == "done" for row in rows):
        raise UserError(f"{option_name('only')}: selects no row with results: got {' '.join(only.texts)}")
    return replace(evidence, rows=tuple(rows))


def _read_layouts(bundle: Bundle) -> tuple[Layout, ...]:
    """Return the layouts of a bundle, in the order in which its suites name them."""
    named = (name for suite in bundle.suites for name in suite.suite["report"]["layout"])
    names = dict.fromkeys((*named, *bundle.layouts))
    return tuple(layout_of(parse_document(bundle.layouts[name], f"{bundle.name}: {name}")) for name in names)


def _find_ledger(bundles: Sequence[Bundle], name: str | None, rows: Sequence[Row]) -> Ledger | None:
    """Return the published numbers of this name, from the bundles, the shipped ones or a file.

    Without a name they are those that the suites name, or None.

    Raises:
        UserError: several bundles have different published numbers.
    """
    texts: dict[str, str] = {}
    for bundle in bundles:
        (suite,) = bundle.suites
        ledger_name = name or suite.suite["report"].get("claims")
        if ledger_name and ledger_name in bundle.claims:
            texts.setdefault(bundle.claims[ledger_name], f"{ledger_name} of {bundle.name}")
    if len(texts) > 1:
        first_two = " and ".join(list(texts.values())[:2])
        raise UserError(f"report: different published numbers: got {first_two}; choose one with --against NAME or FILE")
    known = _known_names(rows)
    if texts:
        ((text, where),) = texts.items()
        return ledger_of(parse_document(text, where), known)
    return read_claims(name, Path(), known) if name else None


def _known_names(rows: Sequence[Row]) -> dict[str, set[str]]:
    """Return the names that published numbers may use, by axis: those in the rows and the installed ones."""
    known = {axis: {name for row in rows for name in str(getattr(row, axis)).split("+")} for axis in AXES}
    installed = list_component_names(load_catalog())
    return {**known, **{axis: {*known[axis], *names} for axis, names in installed.items()}}


def read_galleries(bundle: Bundle) -> list[Gallery]:
    """Return the galleries of a bundle; raises BundleError for an invalid one."""
    try:
        return [read_gallery(gallery) for gallery in bundle.galleries]
    except UserError as error:
        raise BundleError(f"{bundle.name}: gallery.json: {error}") from None


def join_galleries(galleries: Sequence[Gallery]) -> Gallery | None:
    """Return several galleries as one, with every exhibit and every image once; None for no gallery."""
    images: dict[bytes, int] = {}
    exhibits: dict[Exhibit, None] = {}
    for gallery in galleries:
        indices = [images.setdefault(image, len(images)) for image in gallery.images]
        exhibits |= dict.fromkeys(_renumber_images(exhibit, indices) for exhibit in gallery.exhibits)
    return Gallery(tuple(exhibits), tuple(images)) if galleries else None


def _renumber_images(exhibit: Exhibit, indices: Sequence[int]) -> Exhibit:
    """Return an exhibit with the new index of each of its images."""
    rankings = tuple(
        ranking._replace(hits=tuple(hit._replace(image=indices[hit.image]) for hit in ranking.hits))
        for ranking in exhibit.rankings
    )
    return exhibit._replace(
        clean=indices[exhibit.clean],
        perturbation=indices[exhibit.perturbation],
        attacked=indices[exhibit.attacked],
        purified=None if exhibit.purified is None else indices[exhibit.purified],
        rankings=rankings,
    )
