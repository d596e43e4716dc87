"""The record of a run: what identifies the run, and the artifacts that it uses."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from retbench.canon import digest
from retbench.contracts.dataset import data_root
from retbench.report.filename import slug
from retbench.suite import shipped_suites

if TYPE_CHECKING:
    from retbench.study.study import Study

Key = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
MAX_SLUG = 48
"""Characters of a run's name in the names of its files, which also have a digest."""


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class RunIdentity(_Model):
    """What identifies a run: a later run with the same identity replaces its record, every other run has its own.

    The part of the matrix that `--only` selects is not in it, because a narrowed run is a part of the whole one.

    Attributes:
        name: the name of the suite, with the profile; or the name of an evaluation.
        suite: the resolved path of the suite's file, or the name of a shipped suite; empty for an evaluation.
        profile: the profile; empty for none.
        sets: the changes of single values.
        plugins: the Python files whose components were used too.
        precision: the precision of networks.
        data: the resolved folder of datasets; empty without one.
        evaluation: the digest of an evaluation's suite; empty for a suite file.
    """

    name: str
    suite: str = ""
    profile: str = ""
    sets: tuple[str, ...] = ()
    plugins: tuple[str, ...] = ()
    precision: str = ""
    data: str = ""
    evaluation: str = ""

    @property
    def stem(self) -> str:
        """The stem of the run's files: safe in every file system, and different for different identities."""
        return f"{slug(self.name, MAX_SLUG)}-{digest(self.model_dump(mode='json'))[:16]}"

    @property
    def label(self) -> str:
        """The name, with the changes of the suite."""
        return " ".join([self.name, *(f"--set {change}" for change in self.sets)])


class RunRecord(_Model):
    """The last run with one identity.

    Attributes:
        format: the version of this record.
        run: what identifies the run.
        only: the selected part of the matrix, as texts.
        digest: the digest of the suite with its profile and changes applied.
        at: the time of the record; later than that of every record before it, also if the clock was set back.
        execution: a random name of the execution that wrote the record.
        seconds: the wall time of the run; 0 while it is running.
        planned: the names of the cells that had steps.
        cells: the key of the last result of each cell, by its name.
        failures: the reason of each failed step, by its key.
        keys: the keys of the artifacts that the run uses.
    """

    format: Literal[2] = 2
    run: RunIdentity
    only: tuple[str, ...] = ()
    digest: str = ""
    at: AwareDatetime
    execution: str = ""
    seconds: float = 0.0
    planned: tuple[str, ...] = ()
    cells: dict[str, Key] = {}
    failures: dict[Key, str] = {}
    keys: tuple[Key, ...]


class _FormerRequest(_Model):
    suite: str
    profile: str
    sets: tuple[str, ...]
    only: tuple[str, ...]
    plugins: tuple[str, ...] = ()
    precision: str


class _FormerRecord(_Model):
    """A record of the format before 2, in a file named after the run."""

    request: _FormerRequest
    digest: str = ""
    at: Annotated[datetime, AwareDatetime]
    seconds: float = 0.0
    cells: dict[str, Key] = {}
    failures: dict[Key, str] = {}
    keys: tuple[Key, ...]

    def convert(self, name: str) -> RunRecord:
        """Return the record in the current format; its data folder was not recorded."""
        request = self.request
        run = RunIdentity(
            name=name,
            suite=_name_shipped(request.suite),
            profile=request.profile,
            sets=request.sets,
            plugins=request.plugins,
            precision=request.precision,
            evaluation="" if request.suite else self.digest,
        )
        same = self.model_dump(include={"digest", "at", "seconds", "cells", "failures", "keys"})
        return RunRecord(run=run, only=request.only, planned=tuple(self.cells), **same)


def identify_run(study: Study) -> RunIdentity:
    """Return the identity of a study's runs."""
    in_python = study.request.suite is None
    data = data_root()
    return RunIdentity(
        name=study.run_name,
        suite="" if in_python else _name_shipped(str(study.loaded.path.resolve())),
        profile=study.loaded.profile,
        sets=study.request.changes,
        plugins=study.request.plugins,
        precision=study.precision,
        data=str(data.resolve()) if data.is_dir() else "",
        evaluation=study.digest if in_python else "",
    )


def read_record(record: dict[str, Any], name: str) -> RunRecord:
    """Return a record from JSON; raises ValueError, with the first problem, for one that is not valid.

    Args:
        record: the JSON object.
        name: the name of the run, which records of the former format do not have.
    """
    try:
        if "format" in record:
            return RunRecord.model_validate(record)
        return _FormerRecord.model_validate(record).convert(name)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(map(str, first["loc"])) or "record"
        raise ValueError(f"{field}: {first['msg'][0].lower()}{first['msg'][1:]}") from None


def _name_shipped(path: str) -> str:
    """Return the name of a shipped suite in place of its path, which changes with every installation."""
    shipped = {str(file.resolve()): name for name, file in shipped_suites().items()}
    return shipped.get(path, path)
