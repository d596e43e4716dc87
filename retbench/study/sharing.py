"""A study as a bundle: one file with the numbers and what they can be computed from again."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from retbench.bundle import export_bundle
from retbench.canon import canonical
from retbench.errors import UserError
from retbench.report.gallery.exhibit import gallery_record
from retbench.report.published.claims import find_claims, shipped_claims
from retbench.report.tables.layout import find_layout
from retbench.study.reports import source_of

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
