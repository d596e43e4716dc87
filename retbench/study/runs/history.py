"""The runs recorded in a store: their requests, the artifacts they use, and the failures of the last run."""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, cast

from retbench.errors import RecordUnreadable, UnknownName, UserError, on_command_line, option_name
from retbench.execute import Failure
from retbench.store import Store
from retbench.study.progress import log_path
from retbench.study.request import PrecisionChoice, StudyRequest
from retbench.study.runs.record import RunIdentity, RunRecord, read_record
from retbench.suite import read_selection

if TYPE_CHECKING:
    from retbench.study.study import Study

SECONDS_PER_DAY = 24 * 60 * 60
TICK = timedelta(microseconds=1)


class StoredRecord(NamedTuple):
    """A record and its file."""

    path: Path
    record: RunRecord

    @property
    def stem(self) -> str:
        """The stem of the file, which tells runs of one name apart."""
        return self.path.stem


class History(NamedTuple):
    """The records in a store, the latest first, and those that cannot be read."""

    runs: tuple[StoredRecord, ...]
    unreadable: tuple[RecordUnreadable, ...]


class RecordedRun(NamedTuple):
    """A run recorded in a store.

    Attributes:
        name: the name of the suite, with the profile; or the name of an evaluation.
        stem: the stem of the record's file.
        label: the name, with the changes of the suite.
        suite: the suite's file, or the name of a shipped suite; empty for a run made in Python, which no file repeats.
        age: seconds since it ran.
        keys: keys of the artifacts that it uses.
        size: bytes of the stored artifacts that no other run uses.
    """

    name: str
    stem: str
    label: str
    suite: str
    age: float
    keys: frozenset[str]
    size: int

    @property
    def days(self) -> int:
        """The age in whole days."""
        return int(self.age // SECONDS_PER_DAY)

    @property
    def file_is_gone(self) -> bool:
        """Whether its suite was a file that does not exist any more, at least on this machine."""
        return Path(self.suite).is_absolute() and not Path(self.suite).exists()


def read_history(store: Store) -> History:
    """Return the records in a store.

    Raises:
        UserError: the folder of records cannot be listed.
    """
    runs, unreadable = [], []
    for path in store.run_records.paths():
        try:
            runs.append(StoredRecord(path, _read(store, path)))
        except RecordUnreadable as error:
            unreadable.append(error)
    runs.sort(key=lambda run: (run.record.at, run.stem), reverse=True)
    return History(tuple(runs), tuple(unreadable))


def read_run(store: Store, run: RunIdentity) -> RunRecord | None:
    """Return the record of the last run with this identity; None without one, or if it cannot be read."""
    for stem in (run.stem, run.name):  # the former format named its files after the run
        try:
            record = _read(store, store.run_records.folder / f"{stem}.json")
        except RecordUnreadable:
            continue
        if stem == run.stem or _is_same(record.run, run):
            return record
    return None


def start_record(study: Study) -> str:
    """Record that a run starts: from now on, `gc` keeps the artifacts that it uses.

    Returns:
        A random name of this execution, for `finish_record`.
    """
    execution = secrets.token_hex(8)
    _write_record(study, execution, {}, 0.0, ours=False)
    return execution


def finish_record(study: Study, execution: str, failures: Mapping[str, Failure], seconds: float) -> None:
    """Record the last result of each cell, and the failures, at the end of a run."""
    reasons = {key: f"{f.kind}: {f.reason} (in {f.step})" for key, f in failures.items()}
    _write_record(study, execution, reasons, seconds, ours=True)


def list_runs(history: History, store: Store) -> list[RecordedRun]:
    """Return the recorded runs, the latest first, with the sizes of their artifacts in the store."""
    uses = Counter(key for run in history.runs for key in set(run.record.keys))
    now, listed = datetime.now(UTC), []
    for path, record in history.runs:
        keys = frozenset(record.keys)
        size = sum(store.size(key) for key in keys if uses[key] == 1)
        age = max((now - record.at).total_seconds(), 0.0)
        listed.append(RecordedRun(record.run.name, path.stem, record.run.label, record.run.suite, age, keys, size))
    return listed


def find_runs(history: History, patterns: Sequence[str]) -> list[Path]:
    """Return the files of the records that match names, stems of files or patterns (`evaluate-*`).

    Unreadable records are found by the stem of their file.

    Raises:
        UnknownName: a name or pattern matches no record.
    """
    names = {path: {record.run.name, path.stem} for path, record in history.runs}
    names |= {error.path: {error.path.stem} for error in history.unreadable}
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for known in names.values() for name in known):
            choices = [record.run.name for _, record in history.runs] + [
                error.path.stem for error in history.unreadable
            ]
            raise UnknownName(option_name("forget"), pattern, dict.fromkeys(choices))
    return sorted(
        path
        for path, known in names.items()
        if any(fnmatchcase(name, pattern) for name in known for pattern in patterns)
    )


def forget_run(store: Store, path: Path) -> None:
    """Remove a record and the log of its runs; `retbench gc` removes the artifacts that no other run uses."""
    store.run_records.remove(path)
    log_path(store.root, path.stem).unlink(missing_ok=True)


def continue_run(request: StudyRequest, store: Store) -> StudyRequest:
    """Return the request of the last run of a suite file, changed by this request.

    The last run is the one with the latest recorded time. Runs made in Python are ignored: only their own code can
    repeat them.

    Raises:
        UserError: the store has no run, or only runs made in Python, or a record that cannot be read.
    """
    history = read_history(store)
    example = "`retbench report unimodal`" if on_command_line() else 'retbench.open("unimodal")'
    if history.unreadable:
        raise UserError(
            f"{history.unreadable[0]}: the last run of this store is unknown; name a suite, for example {example}, or "
            "delete this file"
        )
    if not history.runs:
        advice = (
            "run one first: `retbench run unimodal`" if on_command_line() else 'name one: retbench.open("unimodal")'
        )
        raise UserError(f"store {store.root}: no suite was run in it; {advice}")
    last = next((record for _, record in history.runs if record.run.suite), None)
    if last is None:
        raise UserError(
            f"store {store.root}: its last run, {history.runs[0].record.run.name}, was made in Python and has no suite "
            f"file: name a suite, for example {example}, or call retbench.evaluate again"
        )
    run = last.run
    return replace(
        request,
        suite=run.suite,
        profile=request.profile or run.profile,
        changes=(*run.sets, *request.changes),
        only=request.only if request.only.filters else read_selection(last.only),
        plugins=(*run.plugins, *(file for file in request.plugins if file not in run.plugins)),
        precision=cast(PrecisionChoice, run.precision) if request.precision == "auto" else request.precision,
    )


def find_last_result(study: Study, cell: str) -> str | None:
    """Return the key of a cell's last result: of this run, or else of the latest run of the suite with other options.

    Raises:
        RecordUnreadable: the record of this run cannot be read.
    """
    history, run = read_history(study.store), study.identity
    for error in history.unreadable:
        if error.path.stem in (run.stem, run.name):
            raise error
    related = [
        record
        for _, record in history.runs
        if (record.run.name, record.run.suite, record.run.profile) == (run.name, run.suite, run.profile)
    ]
    related.sort(key=lambda record: not _is_same(record.run, run))  # stable: of the others, the latest comes first
    return next((record.cells[cell] for record in related if cell in record.cells), None)


def _read(store: Store, path: Path) -> RunRecord:
    """Return the record in a file; raises RecordUnreadable."""
    records = store.run_records
    try:
        return read_record(records.read(path), str(path.relative_to(records.folder).with_suffix("")))
    except ValueError as error:
        raise RecordUnreadable(path, str(error)) from None


def _is_same(recorded: RunIdentity, run: RunIdentity) -> bool:
    """Return whether a record is of this run; those of the former format do not have the folder of datasets."""
    return recorded in (run, run.model_copy(update={"data": ""}))


def _write_record(study: Study, execution: str, failures: Mapping[str, str], seconds: float, *, ours: bool) -> None:
    """Write the record of a run.

    It names the artifacts of the plan, and those of earlier records of the same run that this plan may lack: outside
    the selected part, of a cell that is skipped this time, such as one whose dataset is on a disk that is not mounted,
    and those of another execution that ended during this one, perhaps of an earlier version of the suite.

    Args:
        study: the study that runs.
        execution: the name of this execution.
        failures: the reason of each failed step, by key.
        seconds: the wall time so far.
        ours: whether this execution has written the record before.
    """
    store, run, records = study.store, study.identity, study.store.run_records
    path = records.folder / f"{run.stem}.json"
    with records.locked():
        history = read_history(store)
        earlier = [stored for stored in history.runs if _is_same(stored.record.run, run)]
        planned = [cell.cell.name for cell in study.planned.cells if cell.key]
        skipped = {cell.cell.name for cell in study.planned.cells if not cell.key}
        narrowed = bool(study.request.only.filters)
        if narrowed or skipped:
            _set_aside(store, [error.path for error in history.unreadable if error.path == path])
        carried = [
            record
            for _, record in earlier
            if narrowed or skipped & set(record.planned) or (ours and record.execution != execution)
        ]
        done = {cell.cell.name: cell.key for cell in study.planned.cells if cell.key and store.has(cell.key)}
        known = [record for _, record in reversed(earlier)]
        latest = max((stored.record.at for stored in history.runs), default=datetime.min.replace(tzinfo=UTC))
        record = RunRecord(
            run=run,
            only=study.request.only.texts,
            digest=study.digest,
            at=max(datetime.now(UTC), latest + TICK),
            execution=execution,
            seconds=round(seconds, 1),
            planned=tuple(dict.fromkeys([*planned, *(name for record in carried for name in record.planned)])),
            cells={name: key for cells in (*(record.cells for record in known), done) for name, key in cells.items()},
            failures=_carry_failures(study, carried) | dict(failures),
            keys=tuple(dict.fromkeys([*study.planned.steps, *(key for record in carried for key in record.keys)])),
        )
        records.write(path, record.model_dump(mode="json"))
        for stored in earlier:
            if stored.path != path:  # its content is in the new record, or not needed any more
                records.remove(stored.path)


def _carry_failures(study: Study, carried: Sequence[RunRecord]) -> dict[str, str]:
    """Return the failures of steps outside of this plan, which this run says nothing about."""
    return {
        key: reason
        for record in reversed(carried)
        for key, reason in record.failures.items()
        if key not in study.planned.steps
    }


def _set_aside(store: Store, paths: Sequence[Path]) -> None:
    """Rename an unreadable record that this run cannot replace, because it does not plan all that the record may name.

    `gc` refuses until the file is deleted.
    """
    for path in paths:
        path.rename(path.with_name(f"{path.stem}.unreadable-{secrets.token_hex(4)}.json"))
