"""A meta is read once as long as its file stays the same."""

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
    """The file of the meta of an artifact that was just stored."""
    store.put(Artifact(KEY, {"codes": torch.ones(3)}, {"map": 0.25}, {"seconds": 0.5}))
    return store.root / "objects" / KEY[:2] / KEY / "meta.json"


def test_a_meta_is_read_once_as_long_as_its_file_stays_the_same(
    store: Store, meta: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, whole = store.meta(KEY), Path.read_bytes
    read: list[str] = []

    def noted(path: Path) -> bytes:
        read.append(path.name)
        return whole(path)

    monkeypatch.setattr(Path, "read_bytes", noted)
    assert [store.meta(KEY), Store(store.root).meta(KEY)] == [first, first]
    assert read == [meta.name]  # by the other store
    store.meta(KEY).clear()
    assert store.meta(KEY) == first


@pytest.mark.parametrize("way", ["inode", "size", "mtime"])
def test_a_meta_whose_file_changed_is_read_anew_and_refused_if_damaged(store: Store, meta: Path, way: str) -> None:
    before, whole, stat = store.meta(KEY), meta.read_bytes(), meta.stat()
    damaged = whole.replace(b"0.5", b"0.6") + b" " * (way == "size")
    if way == "inode":
        meta.with_name("new").write_bytes(damaged)
        meta.with_name("new").replace(meta)
    else:
        meta.write_bytes(damaged)
    os.utime(meta, ns=(stat.st_atime_ns, stat.st_mtime_ns + (way == "mtime")))
    changed = meta.stat()
    kept = (changed.st_ino == stat.st_ino, changed.st_size == stat.st_size, changed.st_mtime_ns == stat.st_mtime_ns)
    assert kept == (way != "inode", way != "size", way != "mtime")
    for read in (store.meta, store.get, store.summary, store.check):
        with pytest.raises(ArtifactCorrupt, match=r"meta\.json does not match its digest"):
            read(KEY)
    meta.write_bytes(whole)
    assert store.meta(KEY) == before


def test_an_artifact_that_was_put_again_has_its_new_meta(store: Store) -> None:
    for seconds in (0.5, 0.75):
        store.discard(KEY)
        store.put(Artifact(KEY, {}, {}, {"seconds": seconds}))
        assert store.meta(KEY)["seconds"] == seconds
    store.discard(KEY)
    with pytest.raises(ArtifactMissing, match="no artifact"):
        store.meta(KEY)
