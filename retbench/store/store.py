"""A folder of artifacts, addressed by what they are made of.

objects/ab/abcd…/     tensors.safetensors, summary.json, meta.json
tmp/<pid>-…/          being written; swept when its process is gone
work/<key>/           checkpoints of a fit that is under way
runs/<suite>.json     what each suite's last run named
timings.jsonl         one line for each executed step, for forecasts
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Set
from contextlib import contextmanager
from hashlib import file_digest, sha256
from pathlib import Path
from typing import cast

import torch
from safetensors.torch import load as read_tensors
from safetensors.torch import load_file as map_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from retbench.canon import Json, canonical, digest
from retbench.errors import ArtifactCorrupt, ArtifactMissing, UserError
from retbench.store.artifact import Artifact
from retbench.store.files import (
    append_line,
    process_alive,
    publish_folder,
    remove_folder,
    replace_file,
    write_file,
    writing,
)

TENSORS, SUMMARY, META = "tensors.safetensors", "summary.json", "meta.json"
MAPPED = 1 << 20
"""Bytes from which on a file of tensors is mapped."""


class Store:
    """Artifacts by key, in a folder that several runs may share.

    Args:
        root: the folder; made on the first write.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._metas: dict[str, tuple[tuple[int, int, int], dict[str, Json]]] = {}

    def has(self, key: str) -> bool:
        """Return whether an artifact is stored; its bytes are checked when it is read."""
        return (self._folder(key) / META).exists()

    def keys(self) -> set[str]:
        """Return every stored key."""
        return {entry.name for shard in _folders(self.root / "objects") for entry in _folders(shard)}

    def put(self, artifact: Artifact) -> int:
        """Store an artifact whole or not at all, and returns its size in bytes; one already there stays.

        Raises:
            StoreUnwritable: the folder is read-only or full.
        """
        tensors = save_tensors({name: _own(tensor) for name, tensor in artifact.tensors.items()})
        summary = canonical(artifact.summary).encode()
        meta = dict(artifact.meta)
        meta["payload"] = {TENSORS: sha256(tensors).hexdigest(), SUMMARY: sha256(summary).hexdigest()}
        meta["self"] = digest(meta)
        with writing(self.root):
            if self._folder(artifact.key).exists() and not self.has(artifact.key):
                self.discard(artifact.key)  # it lost its meta to another program, and would be in the way for ever
            temporary = self._temporary()
            try:
                write_file(temporary / TENSORS, tensors)
                write_file(temporary / SUMMARY, summary)
                write_file(temporary / META, canonical(meta).encode())
                publish_folder(temporary, self._folder(artifact.key))
            finally:
                shutil.rmtree(temporary, ignore_errors=True)
        return len(tensors) + len(summary)

    def get(self, key: str) -> Artifact:
        """Return a stored artifact, every byte checked; large tensors are mapped from the file, not read into memory.

        Nothing here writes to a stored file again; what another program does to one shows in tensors mapped from it.

        Raises:
            ArtifactMissing: nothing has this key.
            ArtifactCorrupt: its bytes changed since they were written; `discard` it and run the step again.
        """
        meta = self.meta(key)
        path = self._checked(key, TENSORS, meta)
        small = path.stat().st_size < MAPPED  # mapping costs more than reading; a report reads thousands of scores
        tensors = read_tensors(path.read_bytes()) if small else map_tensors(path)
        return Artifact(key, tensors, json.loads(self._checked(key, SUMMARY, meta).read_bytes()), meta)

    def summary(self, key: str) -> dict[str, Json]:
        """Return the summary of an artifact, without its tensors; raises as `get` does."""
        return cast(dict[str, Json], json.loads(self._checked(key, SUMMARY, self.meta(key)).read_bytes()))

    def meta(self, key: str) -> dict[str, Json]:
        """Return the meta of an artifact, read once as long as its file stays the same; raises as `get` does."""
        path = self._folder(key) / META
        try:
            now = path.stat()
            known = self._metas.get(key)
            if known is not None and known[0] == (now.st_ino, now.st_size, now.st_mtime_ns):
                return dict(known[1])
            meta = json.loads(path.read_bytes())
            told, found = meta.pop("self"), digest(meta)
        except (FileNotFoundError, NotADirectoryError):
            raise ArtifactMissing(f"store {self.root}: no artifact {key[:12]}") from None
        except (ValueError, KeyError, AttributeError, TypeError):
            raise ArtifactCorrupt(f"store {self.root}: {key[:12]}: {META} is not what was written") from None
        if told != found:
            raise ArtifactCorrupt(f"store {self.root}: {key[:12]}: {META} does not match its digest")
        self._metas[key] = ((now.st_ino, now.st_size, now.st_mtime_ns), meta)
        return cast(dict[str, Json], dict(meta))

    def check(self, key: str) -> None:
        """Raise ArtifactCorrupt unless every byte of an artifact is what was written, ArtifactMissing if none is."""
        meta = self.meta(key)
        for name in (TENSORS, SUMMARY):
            self._checked(key, name, meta)

    def discard(self, key: str) -> None:
        """Remove an artifact whole or not at all; nothing happens where there is none."""
        folder = self._folder(key)
        if folder.exists():
            with writing(self.root):
                remove_folder(folder, self._temporary())

    def size(self, key: str) -> int:
        """Return the bytes an artifact takes on disk; 0 where there is none."""
        return sum(entry.stat().st_size for entry in os.scandir(self._folder(key))) if self.has(key) else 0

    @contextmanager
    def checkpoints(self, key: str) -> Iterator[Path]:
        """Lend a folder that survives a killed fit of this key, and removes it once the block ends well.

        Of two processes that fit one key at once, the second gets a folder of its own, which does not survive.
        """
        folder = self.root / "work" / key
        with writing(self.root):
            folder.mkdir(parents=True, exist_ok=True)
            handle = open(folder / ".lock", "ab")  # noqa: SIM115  held for the whole block below
        with handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                with writing(self.root):
                    private = self._temporary()
                try:
                    yield private
                finally:
                    shutil.rmtree(private, ignore_errors=True)
                return
            yield folder
            shutil.rmtree(folder, ignore_errors=True)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Mark the store as in use, so that `gc` stays away; several runs may share it."""
        with self._lock(fcntl.LOCK_SH):
            self.sweep()
            yield

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the store alone; raises UserError while a run uses it."""
        with self._lock(fcntl.LOCK_EX | fcntl.LOCK_NB):
            yield

    def sweep(self) -> None:
        """Remove what killed processes left half written."""
        for folder in _folders(self.root / "tmp"):
            pid = folder.name.split("-")[0]
            if not (pid.isdigit() and process_alive(int(pid))):
                shutil.rmtree(folder.path, ignore_errors=True)

    def drop_checkpoints(self, named: Set[str]) -> None:
        """Remove the checkpoints of fits that nobody names any more."""
        for folder in _folders(self.root / "work"):
            if folder.name not in named:
                shutil.rmtree(folder.path, ignore_errors=True)

    def record_run(self, suite: str, record: Mapping[str, Json]) -> None:
        """Remember what a suite's run named: the roots that `gc` keeps and `why` compares with."""
        with writing(self.root):
            replace_file(self.root / "runs" / f"{suite}.json", json.dumps(record, indent=1).encode())

    def runs(self) -> dict[str, dict[str, Json]]:
        """Return the remembered runs by suite, the latest first; an unreadable record is passed over."""
        files = sorted((self.root / "runs").glob("*.json"), key=lambda path: path.stat().st_mtime_ns, reverse=True)
        return {path.stem: record for path in files if (record := _read_record(path.read_bytes())) is not None}

    def append_timing(self, timing: Mapping[str, Json]) -> None:
        """Add one line to the ledger of executed steps, apart from one that a killed process cut short."""
        with writing(self.root):
            append_line(self.root / "timings.jsonl", canonical(timing).encode())

    def timings(self) -> list[dict[str, Json]]:
        """Return the ledger of executed steps, oldest first; a line cut short by a kill is passed over."""
        try:
            lines = (self.root / "timings.jsonl").read_bytes().splitlines()
        except (FileNotFoundError, NotADirectoryError):
            return []
        return [timing for line in lines if (timing := _read_record(line)) is not None]

    def _folder(self, key: str) -> Path:
        return Path(f"{self.root}/objects/{key[:2]}/{key}")

    def _checked(self, key: str, name: str, meta: Mapping[str, Json]) -> Path:
        """Return the path of a file of an artifact, whose bytes are those that were written."""
        path = self._folder(key) / name
        try:
            with open(path, "rb") as stream:
                found = file_digest(stream, "sha256").hexdigest()
        except FileNotFoundError:
            raise ArtifactCorrupt(f"store {self.root}: {key[:12]}: {name} is gone") from None
        if found != cast(dict[str, str], meta["payload"])[name]:
            raise ArtifactCorrupt(f"store {self.root}: {key[:12]}: {name} does not match its digest")
        return path

    def _temporary(self) -> Path:
        (self.root / "tmp").mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(prefix=f"{os.getpid()}-", dir=self.root / "tmp"))

    @contextmanager
    def _lock(self, mode: int) -> Iterator[None]:
        with writing(self.root):
            (self.root / "tmp").mkdir(parents=True, exist_ok=True)
            handle = open(self.root / "lock", "ab")  # noqa: SIM115  held for the whole block below
        with handle:
            try:
                fcntl.flock(handle, mode)
            except BlockingIOError:
                raise UserError(f"store {self.root}: a run is using it; try again when it has ended") from None
            yield


def _folders(path: str | os.PathLike[str]) -> list[os.DirEntry[str]]:
    try:
        return [entry for entry in os.scandir(path) if entry.is_dir()]
    except (FileNotFoundError, NotADirectoryError):
        return []


def _own(tensor: Tensor) -> Tensor:
    """Return the values in memory of their own: safetensors refuses tensors that overlap, as tied weights do."""
    return tensor.detach().to("cpu", copy=True, memory_format=torch.contiguous_format)


def _read_record(data: bytes) -> dict[str, Json] | None:
    """Return a JSON mapping, or None for what is not one."""
    try:
        record = json.loads(data)
    except ValueError:
        return None
    return record if isinstance(record, dict) else None
