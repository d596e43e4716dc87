"""Export the results of a suite from a store to a bundle."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any, cast

from safetensors.torch import save
from torch import Tensor

from retbench import __version__
from retbench.bundle.archive import write_archive
from retbench.bundle.artifact import FILES, read_artifact
from retbench.bundle.bundle import GALLERY, name_cell
from retbench.bundle.records import FOLDERS
from retbench.canon import Json, canonical, digest
from retbench.contracts import Dataset
from retbench.contracts.dataset import identify_dataset
from retbench.errors import BundleError
from retbench.plan import Plan
from retbench.results import Evidence, Row
from retbench.stages import Score
from retbench.store import Store
from retbench.store.files import replace_file

ATTACHMENTS = {"layouts.json": b"{}", "claims.json": b"{}"}
"""Members that a caller may pass, with their defaults; `gallery.json` is optional and has none."""
_ABSOLUTE_PATH = re.compile(r"(?<![\w:/.…~-])/(?:[^\s/'\",:;()\[\]]+/)+(?=[^\s/])")


def export_bundle(
    path: Path,
    evidence: Evidence,
    plan: Plan,
    store: Store,
    suite: Mapping[str, Json],
    profile: str,
    attachments: Mapping[str, bytes],
) -> int:
    """Write the results of a suite to a bundle, all of it or nothing, and return its size in bytes.

    Equal results give equal bytes. The bundle holds no path of this machine: `shorten_paths` is applied to all texts.
    Layouts and claims that the suite names by a path get a shortened name, in the suite and in the attachments.

    Args:
        path: the file to write; an existing file is replaced.
        evidence: the rows and the steps behind them; rows that are not done are exported as they are.
        plan: the plan of these rows.
        store: where their artifacts are.
        suite: the fields of the suite, as JSON.
        profile: the profile of the suite; empty for none.
        attachments: `layouts.json` and `claims.json` (JSON mappings from the names in the suite to YAML texts) and
            `gallery.json`. Every layout that the suite names must be among them.

    Raises:
        BundleError: no row is done, an artifact of a done row is damaged or missing, the bundle gets too large, or the
            file cannot be written.
        ValueError: an unknown attachment, or a layout of the suite that is missing from the attachments.
    """
    if unknown := attachments.keys() - {*ATTACHMENTS, GALLERY}:
        raise ValueError(
            f"export_bundle: unknown attachment: got {min(unknown)!r}, expected {', '.join((*ATTACHMENTS, GALLERY))}"
        )
    done = [row for row in evidence.rows if row.status == "done"]
    if not done:
        raise BundleError(f"{path}: nothing to export: no cell of {evidence.title} has results; run the suite first")
    names = _shorten_names(_report_files(suite), store.root)
    members = {**_rename_attachments({**ATTACHMENTS, **attachments}, suite, names)}
    members |= _pack_records(evidence, store, _rename_in_suite(suite, names), profile)
    scores = {row.key: cast(Score, plan.steps[row.key]) for row in done}
    for dataset in {step.queries.fingerprint: step.queries.dataset for step in scores.values()}.values():
        members |= _pack_labels(dataset)
    members |= _pack_artifacts(path, done, scores, store)
    members["recipes.json"] = canonical(_collect_recipes(path, done, evidence, plan, members)).encode()
    name = f"{suite['suite']}@{profile}" if profile else str(suite["suite"])
    data = write_archive(path, members, {"retbench": __version__, "title": evidence.title, "run": name})
    try:
        replace_file(path, data)
    except OSError as error:
        raise BundleError(f"{path}: cannot be written: {error.strerror}") from error
    return len(data)


def shorten_paths(value: Json, *folders: Path) -> Json:
    """Return JSON in which every absolute path in a text is shortened to its last name, as in `…/targets.txt`.

    A path is recognized by its slashes if it has at least two names and no space. A path below one of `folders`, or
    below the home folder, is recognized whatever its names are. Numbers such as 8/255 and addresses (`https://…`) stay.
    """
    known = sorted({str(folder.absolute()) for folder in folders} | {str(Path.home())}, key=len, reverse=True)

    def shorten(inner: Json) -> Json:
        if isinstance(inner, str):
            for folder in known:
                inner = inner.replace(f"{folder}/", FOLDERS) if len(folder) > 1 else inner
                inner = inner.replace(folder, "…") if len(folder) > 1 else inner
            return _ABSOLUTE_PATH.sub(FOLDERS, inner)
        if isinstance(inner, dict):
            return {str(shorten(key)): shorten(item) for key, item in inner.items()}
        return [shorten(item) for item in inner] if isinstance(inner, list | tuple) else inner

    return shorten(value)


def _report_files(suite: Mapping[str, Any]) -> list[str]:
    """Return the layouts and the claims that a suite names."""
    claims = suite["report"].get("claims")
    return [*suite["report"]["layout"], *([claims] if claims else [])]


def _shorten_names(names: Iterable[str], root: Path) -> dict[str, str]:
    """Return the name in the bundle for each name in the suite: without folders, and numbered where two are equal."""
    shortened: dict[str, str] = {}
    for name in dict.fromkeys(names):
        stem = str(shorten_paths(name, root, Path.cwd()))
        candidates = (stem if number == 1 else f"{stem} ({number})" for number in count(1))
        shortened[name] = next(candidate for candidate in candidates if candidate not in shortened.values())
    return shortened


def _rename_in_suite(suite: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """Return the suite with its layouts and claims under their names in the bundle."""
    original = suite["report"]
    report = {**original, "layout": [names[name] for name in original["layout"]]}
    if original.get("claims"):
        report["claims"] = names[original["claims"]]
    return {**suite, "report": report}


def _rename_attachments(
    attachments: Mapping[str, bytes], suite: Mapping[str, Any], names: Mapping[str, str]
) -> dict[str, bytes]:
    """Return the attachments with layouts and claims under their names in the bundle."""
    texts: dict[str, dict[str, str]] = {name: json.loads(attachments[name]) for name in ATTACHMENTS}
    if missing := [name for name in suite["report"]["layout"] if name not in texts["layouts.json"]]:
        raise ValueError(f"export_bundle: layouts.json: {missing[0]!r} is missing, but the suite names it")
    renamed = {
        member: canonical({names.get(name, name): text for name, text in by_name.items()}).encode()
        for member, by_name in texts.items()
    }
    return {**attachments, **renamed}


def _collect_recipes(
    path: Path, done: Sequence[Row], evidence: Evidence, plan: Plan, members: Mapping[str, bytes]
) -> dict[str, Json]:
    """Return the recipes of the steps behind the rows, except those that `members` already hold in artifacts."""
    recipes: dict[str, Json] = {}
    for row in done:
        for key in row.steps:
            if key not in evidence.steps:
                step = plan.steps[key]
                raise BundleError(
                    f"{path}: {name_cell(row)}: {step.name} {key[:12]} ({step.label}) is damaged or missing in the "
                    "store; run the suite again"
                )
            if f"objects/{key}/{FILES[0]}" not in members:
                recipes[key] = plan.steps[key].full_recipe
    return recipes


def _pack_records(evidence: Evidence, store: Store, suite: Mapping[str, Json], profile: str) -> dict[str, bytes]:
    """Return the members with the suite, the rows and the steps."""
    members: dict[str, Json] = {
        "suite.json": {
            "suite": dict(suite),
            "digest": evidence.digest,
            "profile": profile,
            "description": evidence.description,
        },
        "rows.json": [row.record() for row in evidence.rows],
        "steps.json": {key: step._asdict() for key, step in evidence.steps.items()},
    }
    return {name: canonical(shorten_paths(value, store.root, Path.cwd())).encode() for name, value in members.items()}


def _pack_labels(dataset: Dataset) -> dict[str, bytes]:
    """Return the members with the labels of a dataset's queries and database, its classes and its query ids."""
    fingerprint = identify_dataset(dataset)
    record: Json = {
        "dataset": dataset.name,
        "fingerprint": fingerprint,
        "classes": list(dataset.facts().classes),
        "queries": list(dataset.ids("query")),
    }
    is_digest = re.fullmatch("[0-9a-f]{64}", fingerprint)
    stem = f"labels/{fingerprint[:16] if is_digest else digest(fingerprint)[:16]}"
    tensors: dict[str, Tensor] = {"query": dataset.labels("query"), "database": dataset.labels("database")}
    packed = save({name: tensor.contiguous().clone() for name, tensor in tensors.items()})
    return {f"{stem}.json": canonical(record).encode(), f"{stem}.safetensors": packed}


def _pack_artifacts(path: Path, done: Sequence[Row], scores: Mapping[str, Score], store: Store) -> dict[str, bytes]:
    """Return the files of the artifacts that the rows' numbers are computed from, as they are in the store."""
    members: dict[str, bytes] = {}
    for row in done:
        for key in _score_keys(row.key, scores[row.key]):
            if f"objects/{key}/{FILES[0]}" not in members:
                members |= _read_files(f"{path}: {name_cell(row)}", key, store)
    return members


def _score_keys(key: str, score: Score) -> Iterator[str]:
    """Yield the keys of the targets, the database and the codes that a score is computed from, then its own key."""
    yield from (score.targets, score.database, score.codes, key)


def _read_files(where: str, key: str, store: Store) -> dict[str, bytes]:
    """Return the files of an artifact by member name; raises BundleError if it is damaged or missing."""
    try:
        files = {name: (store.root / "objects" / key[:2] / key / name).read_bytes() for name in FILES}
        problems = read_artifact(key[:12], files).find_problems(key)
    except (OSError, BundleError) as error:
        problems = [str(error.strerror if isinstance(error, OSError) else error)]
    if problems:
        raise BundleError(f"{where}: artifact {key[:12]} of the store: {problems[0]}; run the suite again")
    return {f"objects/{key}/{name}": data for name, data in files.items()}
