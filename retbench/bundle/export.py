"""From a store to a bundle."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import cast

from safetensors.torch import save
from torch import Tensor

from retbench import __version__
from retbench.bundle.archive import write_archive
from retbench.bundle.bundle import name_cell
from retbench.bundle.packed import FILES, read_packed
from retbench.bundle.paths import cut_paths
from retbench.canon import Json, canonical, digest
from retbench.contracts import Dataset
from retbench.errors import BundleError
from retbench.plan import Plan
from retbench.results import Evidence, Row
from retbench.stages import Score
from retbench.store import Store
from retbench.store.files import replace_file

ATTACHMENTS = {"layouts.json": b"{}", "claims.json": b"{}"}
"""Members that a caller may give, and what stands in for them; beside these, `gallery.json`."""


def export_bundle(
    path: Path,
    evidence: Evidence,
    plan: Plan,
    store: Store,
    suite: Mapping[str, Json],
    profile: str,
    attachments: Mapping[str, bytes],
) -> int:
    """Writes a bundle of a suite's results, whole or not at all, and returns its size in bytes.

    Equal results give equal bytes. No path of this machine is in it: texts are cut by `cut_paths`.

    Args:
        path: where to; a file there is replaced.
        evidence: the rows, and what they rest on; those that are not done go along as they are.
        plan: the plan of these rows.
        store: where their artifacts are.
        suite: the suite as it was read: its fields as JSON.
        profile: its profile; empty for none.
        attachments: `layouts.json`, `claims.json` (JSON mappings from names to YAML texts) and `gallery.json`.

    Raises:
        BundleError: no row is done, an artifact is damaged or gone, there is too much of it, or the file cannot be
            written.
        ValueError: an attachment of another name.
    """
    if unknown := attachments.keys() - {*ATTACHMENTS, "gallery.json"}:
        raise ValueError(f"export_bundle: unknown attachment: got {min(unknown)!r}, expected layouts, claims, gallery")
    done = [row for row in evidence.rows if row.status == "done"]
    if not done:
        raise BundleError(f"{path}: nothing to export: no row of {evidence.title} is done; run the suite first")
    members = {**ATTACHMENTS, **attachments, **_texts(evidence, store, suite, profile)}
    scores = {row.key: cast(Score, plan.steps[row.key]) for row in done}
    for dataset in {step.queries.fingerprint: step.queries.dataset for step in scores.values()}.values():
        members |= _labels(dataset)
    members |= _objects(path, done, scores, store)
    name = f"{suite['suite']}@{profile}" if profile else str(suite["suite"])
    about = {"retbench": __version__, "title": evidence.title, "run": name}
    data = write_archive(path, members, about)
    try:
        replace_file(path, data)
    except OSError as error:
        raise BundleError(f"{path}: cannot be written: {error.strerror}") from error
    return len(data)


def _texts(evidence: Evidence, store: Store, suite: Mapping[str, Json], profile: str) -> dict[str, bytes]:
    told: dict[str, Json] = {
        "suite.json": {
            "suite": dict(suite),
            "digest": evidence.digest,
            "profile": profile,
            "description": evidence.description,
        },
        "rows.json": [row.record() for row in evidence.rows],
        "steps.json": {key: step._asdict() for key, step in evidence.steps.items()},
    }
    return {name: canonical(cut_paths(value, store.root, Path.cwd())).encode() for name, value in told.items()}


def _labels(dataset: Dataset) -> dict[str, bytes]:
    """Returns the labels of a dataset's queries and database, with what belongs to their rows and columns."""
    fingerprint = dataset.fingerprint()
    record: Json = {
        "dataset": dataset.name,
        "fingerprint": fingerprint,
        "classes": list(dataset.facts().classes),
        "queries": list(dataset.ids("query")),
    }
    stem = f"labels/{digest(fingerprint)[:16] if len(fingerprint) < 64 else fingerprint[:16]}"
    tensors: dict[str, Tensor] = {"query": dataset.labels("query"), "database": dataset.labels("database")}
    packed = save({name: tensor.contiguous().clone() for name, tensor in tensors.items()})
    return {f"{stem}.json": canonical(record).encode(), f"{stem}.safetensors": packed}


def _objects(path: Path, done: Sequence[Row], scores: Mapping[str, Score], store: Store) -> dict[str, bytes]:
    """Returns the files of everything that the rows' numbers follow from, as the store has them."""
    found: dict[str, bytes] = {}
    for row in done:
        for key in basis(row.key, scores[row.key]):
            if f"objects/{key}/{FILES[0]}" not in found:
                found |= _object(f"{path}: {name_cell(row)}", key, store)
    return found


def basis(key: str, score: Score) -> Iterator[str]:
    """Yields the keys of a score and of what it follows from: targets, database, codes."""
    yield from (score.targets, score.database, score.codes, key)


def _object(where: str, key: str, store: Store) -> dict[str, bytes]:
    """Returns the files of an artifact by member; raises BundleError for one that is damaged or gone."""
    try:
        files = {name: (store.root / "objects" / key[:2] / key / name).read_bytes() for name in FILES}
        problems = read_packed(key[:12], files).problems(key)
    except (OSError, BundleError) as error:
        problems = [str(error.strerror if isinstance(error, OSError) else error)]
    if problems:
        raise BundleError(f"{where}: artifact {key[:12]} of the store: {problems[0]}; run the suite again")
    return {f"objects/{key}/{name}": data for name, data in files.items()}
