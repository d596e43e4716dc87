"""The cached meta of an artifact."""

import os
from pathlib import Path

import pytest
import torch

from retbench.canon import digest
from retbench.errors import ArtifactCorrupt, ArtifactMissing
from retbench.store import Artifact, Store

KEY = digest("some step")


@pytest.fixture
def meta(store: Store) -> Path:
    """Store an artifact and return the path of its meta."""
    store.put(Artifact(KEY, {"codes": torch.ones(3)}, {"map": 0.25}, {"seconds": 0.5}))
    return store.root / "objects" / KEY[:2] / KEY / "meta.json"


def test_a_meta_is_read_only_once_while_its_file_stays_the_same(
    store: Store, meta: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, read_bytes = store.meta(KEY), Path.read_bytes
    read: list[str] = []

    def record_read(path: Path) -> bytes:
        read.append(path.name)
        return read_bytes(path)

    monkeypatch.setattr(Path, "read_bytes", record_read)
    assert [store.meta(KEY), Store(store.root).meta(KEY)] == [first, first]
    assert read == [meta.name]  # by the other store
    store.meta(KEY).clear()
    assert store.meta(KEY) == first


@pytest.mark.parametrize("changed", ["inode", "size", "mtime"])
def test_a_changed_meta_is_read_again_and_damage_is_found(store: Store, meta: Path, changed: str) -> None:
    before, content, status = store.meta(KEY), meta.read_bytes(), meta.stat()
    damaged = content.replace(b"0.5", b"0.6") + b" " * (changed == "size")
    if changed == "inode":
        meta.with_name("new").write_bytes(damaged)
        meta.with_name("new").replace(meta)
    else:
        meta.write_bytes(damaged)
    os.utime(meta, ns=(status.st_atime_ns, status.st_mtime_ns + (changed == "mtime")))
    now = meta.stat()
    same = (now.st_ino == status.st_ino, now.st_size == status.st_size, now.st_mtime_ns == status.st_mtime_ns)
    assert same == (changed != "inode", changed != "size", changed != "mtime")
    for read in (store.meta, store.get, store.summary, store.check):
        with pytest.raises(ArtifactCorrupt, match=r"meta\.json does not match its digest"):
            read(KEY)
    meta.write_bytes(content)
    assert store.meta(KEY) == before


def test_an_artifact_that_is_stored_again_has_its_new_meta(store: Store) -> None:
    for seconds in (0.5, 0.75):
        store.discard(KEY)
        store.put(Artifact(KEY, {}, {}, {"seconds": seconds}))
        assert store.meta(KEY)["seconds"] == seconds
    store.discard(KEY)
    with pytest.raises(ArtifactMissing, match="no artifact"):
        store.meta(KEY)
