"""A folder of artifacts, addressed by the digests of their recipes.

objects/ab/abcd…/     tensors.safetensors, summary.json, meta.json
tmp/<process>-…/      files that a process is writing; removed once the process has ended
work/<key>/           checkpoints of an unfinished fit
runs/<run>.json       the artifacts that the last run of each suite and options used
timings.jsonl         one line per executed step, for forecasts
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
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
    convert_write_errors,
    is_abandoned,
    name_process,
    publish_folder,
    remove_folder,
    size_of,
    write_file,
)
from retbench.store.records import RunRecords

TENSORS, SUMMARY, META = "tensors.safetensors", "summary.json", "meta.json"
_KEY = re.compile(r"[0-9a-f]{64}")
MAP_THRESHOLD = 1 << 20
"""Size in bytes from which a file of tensors is memory-mapped."""


class Store:
    """Artifacts by key in a folder, which several runs may use at the same time.

    Args:
        root: the folder; created by the first write.

    Attributes:
        run_records: the records of runs, which say what `gc` keeps.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.run_records = RunRecords(root)
        self._metas: dict[str, tuple[tuple[int, int, int], dict[str, Json]]] = {}

    def has(self, key: str) -> bool:
        """Return whether an artifact is stored; its bytes are checked only when it is read."""
        return (self._folder(key) / META).exists()

    def keys(self) -> set[str]:
        """Return the keys of all stored artifacts; other folders beside them are not those of the store."""
        entries = (entry.name for shard in _folders(self.root / "objects") for entry in _folders(shard))
        return {name for name in entries if _KEY.fullmatch(name)}

    def put(self, artifact: Artifact) -> int:
        """Store an artifact completely or not at all; an artifact that is already stored is kept.

        Returns:
            The size of its tensors and summary in bytes.

        Raises:
            StoreUnwritable: the folder is read-only or full.
            TypeError, ValueError: the summary or the meta is not JSON.
        """
        tensors = save_tensors({name: _copy_to_cpu(tensor) for name, tensor in artifact.tensors.items()})
        summary = canonical(artifact.summary).encode()
        meta = dict(artifact.meta)
        meta["payload"] = {TENSORS: sha256(tensors).hexdigest(), SUMMARY: sha256(summary).hexdigest()}
        meta["self"] = digest(meta)
        with convert_write_errors(self.root):
            if self._folder(artifact.key).exists() and not self.has(artifact.key):
                self.discard(artifact.key)  # another program removed its meta: the folder would block this key for ever
            temporary = self._make_temporary_folder()
            try:
                write_file(temporary / TENSORS, tensors)
                write_file(temporary / SUMMARY, summary)
                write_file(temporary / META, canonical(meta).encode())
                publish_folder(temporary, self._folder(artifact.key))
            finally:
                shutil.rmtree(temporary, ignore_errors=True)
        return len(tensors) + len(summary)

    def get(self, key: str) -> Artifact:
        """Return a stored artifact after checking all its bytes; large tensors are memory-mapped from the file.

        The store never modifies a stored file. If another program does, mapped tensors change with the file.

        Raises:
            ArtifactMissing: no artifact has this key.
            ArtifactCorrupt: the bytes changed after they were written; `discard` the artifact and run the step again.
        """
        meta = self.meta(key)
        path = self._verify_file(key, TENSORS, meta)
        small = (
            path.stat().st_size < MAP_THRESHOLD
        )  # reading is faster than mapping, and a report reads thousands of small artifacts
        tensors = read_tensors(path.read_bytes()) if small else map_tensors(path)
        return Artifact(key, tensors, json.loads(self._verify_file(key, SUMMARY, meta).read_bytes()), meta)

    def summary(self, key: str) -> dict[str, Json]:
        """Return the summary of an artifact, without loading its tensors.

        Raises:
            ArtifactMissing: no artifact has this key.
            ArtifactCorrupt: the bytes changed after they were written.
        """
        return cast(dict[str, Json], json.loads(self._verify_file(key, SUMMARY, self.meta(key)).read_bytes()))

    def meta(self, key: str) -> dict[str, Json]:
        """Return the meta of an artifact; it is cached while its file stays the same.

        Raises:
            ArtifactMissing: no artifact has this key.
            ArtifactCorrupt: the bytes changed after they were written.
        """
        path = self._folder(key) / META
        try:
            status = path.stat()
            cached = self._metas.get(key)
            if cached is not None and cached[0] == (status.st_ino, status.st_size, status.st_mtime_ns):
                return dict(cached[1])
            meta = json.loads(path.read_bytes())
            expected, actual = meta.pop("self"), digest(meta)
        except (FileNotFoundError, NotADirectoryError):
            raise ArtifactMissing(f"store {self.root}: no artifact {key[:12]}") from None
        except (ValueError, KeyError, AttributeError, TypeError):
            raise ArtifactCorrupt(f"store {self.root}: {key[:12]}: {META} is not valid") from None
        if actual != expected:
            raise ArtifactCorrupt(f"store {self.root}: {key[:12]}: {META} does not match its digest")
        self._metas[key] = ((status.st_ino, status.st_size, status.st_mtime_ns), meta)
        return cast(dict[str, Json], dict(meta))

    def check(self, key: str) -> None:
        """Check all bytes of an artifact.

        Raises:
            ArtifactMissing: no artifact has this key.
            ArtifactCorrupt: the bytes changed after they were written.
        """
        meta = self.meta(key)
        for name in (TENSORS, SUMMARY):
            self._verify_file(key, name, meta)

    def discard(self, key: str) -> None:
        """Remove an artifact completely or not at all; does nothing if there is none."""
        folder = self._folder(key)
        if folder.exists():
            with convert_write_errors(self.root):
                remove_folder(folder, self._make_temporary_folder())

    def size(self, key: str) -> int:
        """Return the size of an artifact on disk in bytes, or 0 if there is none."""
        return size_of(self._folder(key)) if self.has(key) else 0

    @contextmanager
    def checkpoints(self, key: str) -> Iterator[Path]:
        """Provide a checkpoint folder that survives a killed fit.

        It is removed when the block ends without an exception. If two processes fit the same key at once, the second
        one gets a private folder, which does not survive.
        """
        folder = self.root / "work" / key
        with convert_write_errors(self.root):
            folder.mkdir(parents=True, exist_ok=True)
            handle = open(folder / ".lock", "ab")  # noqa: SIM115  held for the whole block below
        with handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                with convert_write_errors(self.root):
                    private = self._make_temporary_folder()
                try:
                    yield private
                finally:
                    shutil.rmtree(private, ignore_errors=True)
                return
            yield folder
            shutil.rmtree(folder, ignore_errors=True)

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Mark the store as in use in this block, so that `gc` does not run; several runs may use it at once."""
        with self._lock(fcntl.LOCK_SH):
            self.remove_leftovers()
            yield

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Lock the store for this block, so that no run can use it.

        Raises:
            UserError: a run is using the store.
        """
        with self._lock(fcntl.LOCK_EX | fcntl.LOCK_NB):
            yield

    def remove_leftovers(self) -> None:
        """Remove the unfinished files of processes that have ended."""
        for folder in _folders(self.root / "tmp"):
            if is_abandoned(Path(folder)):
                shutil.rmtree(folder.path, ignore_errors=True)

    def unfinished_fits(self) -> dict[str, int]:
        """Return the size in bytes of the checkpoints of each unfinished fit, by key."""
        return {folder.name: size_of(Path(folder)) for folder in _folders(self.root / "work")}

    def remove_checkpoints(self, keys: Iterable[str]) -> None:
        """Remove the checkpoints of these fits."""
        for key in keys:
            shutil.rmtree(self.root / "work" / key, ignore_errors=True)

    def append_timing(self, timing: Mapping[str, Json]) -> None:
        """Append the timing of an executed step."""
        with convert_write_errors(self.root):
            append_line(self.root / "timings.jsonl", canonical(timing).encode())

    def timings(self) -> list[dict[str, Json]]:
        """Return the timings of executed steps, oldest first; incomplete lines of killed processes are ignored."""
        try:
            lines = (self.root / "timings.jsonl").read_bytes().splitlines()
        except (FileNotFoundError, NotADirectoryError):
            return []
        return [timing for line in lines if (timing := _read_timing(line)) is not None]

    def _folder(self, key: str) -> Path:
        return Path(f"{self.root}/objects/{key[:2]}/{key}")

    def _verify_file(self, key: str, name: str, meta: Mapping[str, Json]) -> Path:
        """Return the path of a file of an artifact after checking its digest."""
        path = self._folder(key) / name
        try:
            with open(path, "rb") as stream:
                actual = file_digest(stream, "sha256").hexdigest()
        except FileNotFoundError:
            raise ArtifactCorrupt(f"store {self.root}: {key[:12]}: {name} is missing") from None
        if actual != cast(dict[str, str], meta["payload"])[name]:
            raise ArtifactCorrupt(f"store {self.root}: {key[:12]}: {name} does not match its digest")
        return path

    def _make_temporary_folder(self) -> Path:
        (self.root / "tmp").mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(prefix=f"{name_process()}-", dir=self.root / "tmp"))

    @contextmanager
    def _lock(self, mode: int) -> Iterator[None]:
        with convert_write_errors(self.root):
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


def _copy_to_cpu(tensor: Tensor) -> Tensor:
    """Return a contiguous copy on the CPU; safetensors rejects tensors that share memory, such as tied weights."""
    return tensor.detach().to("cpu", copy=True, memory_format=torch.contiguous_format)


def _read_timing(line: bytes) -> dict[str, Json] | None:
    """Return the JSON object in a line, or None if there is no valid one."""
    try:
        timing = json.loads(line)
    except ValueError:
        return None
    return timing if isinstance(timing, dict) else None
