"""From a store to a bundle."""

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
from retbench.bundle.bundle import GALLERY, name_cell
from retbench.bundle.packed import FILES, read_packed
from retbench.bundle.records import CUT
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
"""Members that a caller may give, and what takes their place; beside these, `gallery.json`."""
_ABSOLUTE = re.compile(r"(?<![\w:/.…~-])/(?:[^\s/'\",:;()\[\]]+/)+(?=[^\s/])")


def export_bundle(
    path: Path,
    evidence: Evidence,
    plan: Plan,
    store: Store,
    suite: Mapping[str, Json],
    profile: str,
    attachments: Mapping[str, bytes],
) -> int:
    """Write a bundle of a suite's results, whole or not at all, and returns its size in bytes.

    Equal results give equal bytes. No path of this machine is in it: texts are cut by `cut_paths`, and layouts and
    claims that were named by a path are called by the same cut name in the suite and among the attachments.

    Args:
        path: where to; a file there is replaced.
        evidence: the rows and the steps behind them; rows that are not done are exported as they are.
        plan: the plan of these rows.
        store: where their artifacts are.
        suite: the suite as it was read: its fields as JSON.
        profile: its profile; empty for none.
        attachments: `layouts.json`, `claims.json` (JSON mappings from names, as the suite has them, to YAML texts) and
            `gallery.json`; a layout that the suite names must be there.

    Raises:
        BundleError: no row is done, an artifact behind one is damaged or gone, there is too much of it, or the file
            cannot be written.
        ValueError: an attachment of another name, or a layout that the suite names and no attachment has.
    """
    if unknown := attachments.keys() - {*ATTACHMENTS, GALLERY}:
        raise ValueError(f"export_bundle: unknown attachment: got {min(unknown)!r}, expected layouts, claims, gallery")
    done = [row for row in evidence.rows if row.status == "done"]
    if not done:
        raise BundleError(f"{path}: nothing to export: no row of {evidence.title} is done; run the suite first")
    names = _cut_names(_named(suite), store.root)
    members = {**_attached({**ATTACHMENTS, **attachments}, suite, names)}
    members |= _texts(evidence, store, _renamed(suite, names), profile)
    scores = {row.key: cast(Score, plan.steps[row.key]) for row in done}
    for dataset in {step.queries.fingerprint: step.queries.dataset for step in scores.values()}.values():
        members |= _labels(dataset)
    members |= _objects(path, done, scores, store)
    members["recipes.json"] = canonical(_recipes(path, done, evidence, plan, members)).encode()
    name = f"{suite['suite']}@{profile}" if profile else str(suite["suite"])
    about = {"retbench": __version__, "title": evidence.title, "run": name}
    data = write_archive(path, members, about)
    try:
        replace_file(path, data)
    except OSError as error:
        raise BundleError(f"{path}: cannot be written: {error.strerror}") from error
    return len(data)


def cut_paths(value: Json, *roots: Path) -> Json:
    """Return JSON in whose texts every absolute path is cut to its last name, as in `…/targets.txt`.

    What looks like a path of two names or more counts as one; a path with a space in it is known by `roots` alone,
    folders that are cut wherever their names occur. Numbers such as 8/255 and addresses (`https://…`) stay.
    """
    known = sorted({str(root.absolute()) for root in roots} | {str(Path.home())}, key=len, reverse=True)

    def cut(inner: Json) -> Json:
        if isinstance(inner, str):
            for root in known:
                inner = inner.replace(f"{root}/", CUT) if len(root) > 1 else inner
                inner = inner.replace(root, "…") if len(root) > 1 else inner
            return _ABSOLUTE.sub(CUT, inner)
        if isinstance(inner, dict):
            return {str(cut(key)): cut(kept) for key, kept in inner.items()}
        return [cut(kept) for kept in inner] if isinstance(inner, list | tuple) else inner

    return cut(value)


def _named(suite: Mapping[str, Any]) -> list[str]:
    """Return the layouts and the ledger that a suite names."""
    claims = suite["report"].get("claims")
    return [*suite["report"]["layout"], *([claims] if claims else [])]


def _cut_names(names: Iterable[str], root: Path) -> dict[str, str]:
    """Return what layouts and ledgers are called in a bundle: their names without paths, each another one."""
    cut: dict[str, str] = {}
    for name in dict.fromkeys(names):
        stem = str(cut_paths(name, root, Path.cwd()))
        called = (stem if number == 1 else f"{stem} ({number})" for number in count(1))
        cut[name] = next(each for each in called if each not in cut.values())
    return cut


def _renamed(suite: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """Return a suite that names its layouts and its ledger as a bundle does."""
    before = suite["report"]
    report = {**before, "layout": [names[name] for name in before["layout"]]}
    if before.get("claims"):
        report["claims"] = names[before["claims"]]
    return {**suite, "report": report}


def _attached(given: Mapping[str, bytes], suite: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, bytes]:
    """Return attachments whose texts are called as the suite calls them in the bundle."""
    texts: dict[str, dict[str, str]] = {name: json.loads(given[name]) for name in ATTACHMENTS}
    if missing := [name for name in suite["report"]["layout"] if name not in texts["layouts.json"]]:
        raise ValueError(f"export_bundle: layouts.json: {missing[0]!r} is missing: the suite names it")
    called = {
        name: canonical({names.get(key, key): text for key, text in kept.items()}).encode()
        for name, kept in texts.items()
    }
    return {**given, **called}


def _recipes(
    path: Path, done: Sequence[Row], evidence: Evidence, plan: Plan, members: Mapping[str, bytes]
) -> dict[str, Json]:
    """Return the recipes of the steps behind rows, without those that are stored with their objects."""
    recipes: dict[str, Json] = {}
    for row in done:
        for key in row.steps:
            if key not in evidence.steps:
                what = f"{path}: {name_cell(row)}: {plan.steps[key].name} {key[:12]} ({plan.steps[key].label})"
                raise BundleError(f"{what} is damaged or gone from the store; run the suite again")
            if f"objects/{key}/{FILES[0]}" not in members:
                recipes[key] = plan.steps[key].full_recipe
    return recipes


def _texts(evidence: Evidence, store: Store, suite: Mapping[str, Json], profile: str) -> dict[str, bytes]:
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
    return {name: canonical(cut_paths(value, store.root, Path.cwd())).encode() for name, value in members.items()}


def _labels(dataset: Dataset) -> dict[str, bytes]:
    """Return the labels of a dataset's queries and database, with what belongs to their rows and columns."""
    fingerprint = identify_dataset(dataset)
    record: Json = {
        "dataset": dataset.name,
        "fingerprint": fingerprint,
        "classes": list(dataset.facts().classes),
        "queries": list(dataset.ids("query")),
    }
    plain = re.fullmatch("[0-9a-f]{64}", fingerprint)
    stem = f"labels/{fingerprint[:16] if plain else digest(fingerprint)[:16]}"
    tensors: dict[str, Tensor] = {"query": dataset.labels("query"), "database": dataset.labels("database")}
    packed = save({name: tensor.contiguous().clone() for name, tensor in tensors.items()})
    return {f"{stem}.json": canonical(record).encode(), f"{stem}.safetensors": packed}


def _objects(path: Path, done: Sequence[Row], scores: Mapping[str, Score], store: Store) -> dict[str, bytes]:
    """Return the files of all artifacts that the rows' numbers are computed from, as the store has them."""
    found: dict[str, bytes] = {}
    for row in done:
        for key in basis(row.key, scores[row.key]):
            if f"objects/{key}/{FILES[0]}" not in found:
                found |= _object(f"{path}: {name_cell(row)}", key, store)
    return found


def basis(key: str, score: Score) -> Iterator[str]:
    """Yield the keys of the targets, database and codes that a score is computed from, and its own."""
    yield from (score.targets, score.database, score.codes, key)


def _object(where: str, key: str, store: Store) -> dict[str, bytes]:
    """Return the files of an artifact by member; raises BundleError for one that is damaged or gone."""
    try:
        files = {name: (store.root / "objects" / key[:2] / key / name).read_bytes() for name in FILES}
        problems = read_packed(key[:12], files).problems(key)
    except (OSError, BundleError) as error:
        problems = [str(error.strerror if isinstance(error, OSError) else error)]
    if problems:
        raise BundleError(f"{where}: artifact {key[:12]} of the store: {problems[0]}; run the suite again")
    return {f"objects/{key}/{name}": data for name, data in files.items()}
