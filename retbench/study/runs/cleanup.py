"""Find and remove what no recorded run of a store uses."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

from retbench.errors import ArtifactError, UserError
from retbench.store import Store
from retbench.study.runs.history import RecordedRun, find_runs, forget_run, list_runs, read_history


class UnusedArtifact(NamedTuple):
    """An artifact that no run uses: its stage, `damaged` where that cannot be read, and its size in bytes."""

    stage: str
    size: int


class Cleanup(NamedTuple):
    """What would be removed from a store, and what is kept.

    Attributes:
        forgotten: the files of the records to forget, and the names of their runs.
        runs: the recorded runs that are kept, the latest first.
        unused: the artifacts that none of these runs uses, by key.
        fits: the bytes of the checkpoints of unfinished fits that none of these runs needs, by key.
        kept: the number of stored artifacts that these runs use.
    """

    forgotten: dict[Path, str]
    runs: tuple[RecordedRun, ...]
    unused: dict[str, UnusedArtifact]
    fits: dict[str, int]
    kept: int

    @property
    def size(self) -> int:
        """The bytes of the unused artifacts and checkpoints."""
        return sum(artifact.size for artifact in self.unused.values()) + sum(self.fits.values())

    @property
    def stages(self) -> dict[str, list[int]]:
        """The sizes of the unused artifacts in bytes, by stage."""
        sizes = defaultdict[str, list[int]](list)
        for artifact in self.unused.values():
            sizes[artifact.stage].append(artifact.size)
        return {stage: sizes[stage] for stage in sorted(sizes)}

    @property
    def empties(self) -> bool:
        """Whether a store without any record would lose its artifacts, though no record is forgotten."""
        return bool(self.unused) and not self.runs and not self.forgotten


def plan_cleanup(store: Store, forget: Sequence[str] = ()) -> Cleanup:
    """Return what no recorded run uses, apart from the runs to forget.

    Args:
        store: the store.
        forget: names of runs, stems of their files, or patterns.

    Raises:
        UserError: the record of a run that is not forgotten cannot be read, so that what the run uses is unknown.
        UnknownName: a name or pattern matches no record.
    """
    history = read_history(store)
    forgotten = find_runs(history, forget)
    names = {path: record.run.label for path, record in history.runs}
    unreadable = [error for error in history.unreadable if error.path not in forgotten]
    if unreadable:
        others = f"; {len(unreadable) - 1} more records cannot be read" if len(unreadable) > 1 else ""
        raise UserError(
            f"{unreadable[0]}: what its run uses is unknown, so nothing is removed; run its suite again, then delete "
            f"the file if it is still there{others}"
        )
    kept = history._replace(runs=tuple(run for run in history.runs if run.path not in forgotten))
    used = {key for run in kept.runs for key in run.record.keys}
    stored = store.keys()
    return Cleanup(
        {path: names.get(path, path.stem) for path in forgotten},
        tuple(list_runs(kept, store)),
        {key: UnusedArtifact(_stage_of(store, key), store.size(key)) for key in sorted(stored - used)},
        {key: size for key, size in store.unfinished_fits().items() if key not in used},
        len(stored & used),
    )


def clean_up(store: Store, planned: Cleanup) -> Cleanup:
    """Remove what was planned and is still unused, and return what was removed; the store must be locked.

    Raises:
        UserError: a record cannot be read any more.
        StoreUnwritable: the folder is read-only.
    """
    for path in planned.forgotten:  # before their artifacts, so that no record names a removed artifact
        forget_run(store, path)
    current = plan_cleanup(store)  # a run may have been recorded since the plan was made
    removed = current._replace(
        forgotten=planned.forgotten,
        unused={key: artifact for key, artifact in current.unused.items() if key in planned.unused},
        fits={key: size for key, size in current.fits.items() if key in planned.fits},
    )
    store.remove_leftovers()
    store.remove_checkpoints(removed.fits)
    for key in removed.unused:
        store.discard(key)
    return removed


def format_name(runs: Sequence[RecordedRun], run: RecordedRun) -> str:
    """Return the text that names one run for `--forget`: its name, or the stem of its file if runs share the name."""
    shared = Counter(other.name for other in runs)
    return run.name if shared[run.name] == 1 else run.stem


def _stage_of(store: Store, key: str) -> str:
    try:
        recipe = cast(dict[str, Any], store.meta(key)["recipe"])
        return str(recipe["stage"])
    except (ArtifactError, OSError, KeyError, TypeError):
        return "damaged"
