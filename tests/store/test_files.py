"""Writes that are whole or absent: full disks, read-only ones, killed and competing processes."""

import errno
import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from retbench.errors import StoreUnwritable
from retbench.store import Artifact, Store
from retbench.store.files import process_alive, replace_file

Start = Callable[[str], Any]
KEY = "ab" * 32
WRITES: dict[str, Callable[[Store], object]] = {
    "put": lambda store: store.put(Artifact(KEY, {"weights": torch.ones(4)})),
    "record_run": lambda store: store.record_run("smoke", {}),
    "append_timing": lambda store: store.append_timing({}),
    "checkpoints": lambda store: store.checkpoints(KEY).__enter__(),
    "running": lambda store: store.running().__enter__(),
    "alone": lambda store: store.alone().__enter__(),
}


def dead_process() -> int:
    """Return the id of a process that has ended."""
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Yield a file system of its own with room for 256 KiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)]
    if not shutil.which("mount") or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("mounting a file system needs more rights")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.parametrize("write", WRITES)
def test_a_store_that_is_a_file_is_refused_with_what_to_do(tmp_path: Path, write: str) -> None:
    file = tmp_path / "store"
    file.write_bytes(b"mine")
    for root in (file, file / "below"):
        with pytest.raises(StoreUnwritable) as caught:
            WRITES[write](Store(root))
        assert str(caught.value) == f"store {root}: it is not a folder; choose another with store=DIR"
    assert file.read_bytes() == b"mine"


def test_a_store_that_is_a_file_holds_nothing(tmp_path: Path) -> None:
    file = tmp_path / "store"
    file.write_bytes(b"mine")
    store = Store(file)
    assert not store.has(KEY)
    assert (store.keys(), store.runs(), store.timings(), store.size(KEY)) == (set(), {}, [], 0)


@pytest.mark.parametrize("write", WRITES)
def test_a_store_without_permission_is_refused_with_what_to_do(write: str) -> None:
    root = Path("/sys/retbench-store")
    try:
        root.mkdir()
    except PermissionError:
        refusal = f"store {root}: no permission to write; choose another with store=DIR"
        with pytest.raises(StoreUnwritable, match=refusal):
            WRITES[write](Store(root))
    except OSError as error:
        pytest.skip(f"this machine refuses in another way: {error}")


@pytest.mark.parametrize("write", WRITES)
def test_a_read_only_store_is_refused_with_what_to_do_and_can_be_read(small_disk: Path, write: str) -> None:
    store = Store(small_disk / "store")
    store.put(Artifact("cd" * 32, {"weights": torch.ones(4)}))
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    refusal = f"store {store.root}: it is read-only; choose another with store=DIR"
    with pytest.raises(StoreUnwritable, match=refusal):
        WRITES[write](store)
    with pytest.raises(StoreUnwritable, match=refusal):
        store.discard("cd" * 32)
    assert torch.equal(store.get("cd" * 32).tensors["weights"], torch.ones(4))


def test_a_full_disk_is_told_with_what_to_do_and_leaves_nothing_half(small_disk: Path) -> None:
    def fill() -> None:
        for number in range(100):
            store.put(Artifact(f"{number:064x}", {"weights": torch.full((2000,), float(number))}))
            stored.add(f"{number:064x}")

    store, stored = Store(small_disk / "store"), set[str]()
    with pytest.raises(StoreUnwritable, match="the disk is full; free some space"):
        fill()
    assert len(stored) > 0
    assert store.keys() == stored
    for key in stored:
        store.check(key)
    assert os.listdir(store.root / "tmp") == []


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
@pytest.mark.parametrize("write", ["put", "record_run"])
def test_a_disk_that_refuses_to_flush_leaves_nothing_half(
    store: Store, monkeypatch: pytest.MonkeyPatch, write: str, code: int
) -> None:
    def refuse(handle: int) -> None:
        raise OSError(code, os.strerror(code))

    store.record_run("smoke", {"number": 1})
    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(StoreUnwritable, match=f"store {store.root}: the disk .* free some space"):
        WRITES[write](store)
    assert store.keys() == set()
    assert store.runs() == {"smoke": {"number": 1}}
    left = [path for path in store.root.rglob("*") if path.is_file()]
    assert [path.name for path in left] == ["smoke.json"]


def test_what_a_disk_refuses_for_other_reasons_is_not_hidden(start: Start, store: Store) -> None:
    worker = start(
        "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "try: store.put(Artifact('ab' * 32, {'weights': torch.ones(4000)}))\n"
        "except OSError as error: pipe.send((type(error).__name__, error.errno))\n"
    )
    assert worker.pipe.recv() == ("OSError", errno.EFBIG)
    assert store.keys() == set()
    assert os.listdir(store.root / "tmp") == []


def test_an_artifact_whose_writer_died_half_way_is_not_there(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def die(*paths: object) -> None:
        raise KeyboardInterrupt

    for step in ("fsync", "rename"):
        with monkeypatch.context() as patched:
            patched.setattr(os, step, die)
            with pytest.raises(KeyboardInterrupt):
                WRITES["put"](store)
        assert not store.has(KEY)
        assert store.keys() == set()
    WRITES["put"](store)
    store.check(KEY)


def test_an_artifact_whose_removal_died_half_way_is_gone(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def die(folder: Path, **how: object) -> None:
        os.unlink(next(iter(folder.iterdir())))
        raise KeyboardInterrupt

    WRITES["put"](store)
    with monkeypatch.context() as patched:
        patched.setattr(shutil, "rmtree", die)
        with pytest.raises(KeyboardInterrupt):
            store.discard(KEY)
    assert not store.has(KEY)
    assert store.keys() == set()


def test_a_killed_process_leaves_only_whole_artifacts(start: Start, store: Store) -> None:
    worker = start(
        "for number in range(10**6):\n"
        "    store.put(Artifact(f'{number:064x}', {'weights': torch.full((50_000,), float(number))}))\n"
        "    if number % 7 == 0: store.discard(f'{number:064x}')\n"
        "    store.append_timing({'number': number}); store.record_run('smoke', {'number': number})\n"
        "    pipe.send(number)\n"
    )
    while worker.pipe.recv() < 20:
        pass
    worker.process.kill()
    worker.process.join()
    keys = store.keys()
    assert len(keys) >= 17
    for key in keys:
        assert store.get(key).tensors["weights"][0] == int(key, 16)
    assert [timing["number"] for timing in store.timings()][:20] == list(range(20))
    assert store.runs()["smoke"]["number"] in range(19, 10**6)
    store.sweep()
    assert os.listdir(store.root / "tmp") == []


def test_a_sweep_removes_what_the_dead_left_and_nothing_of_the_living(store: Store) -> None:
    store.put(Artifact(KEY))
    for name in (f"{dead_process()}-left", "nobody", f"{os.getpid()}-mine", f"{os.getppid()}-theirs"):
        folder = store.root / "tmp" / name
        folder.mkdir()
        (folder / "tensors.safetensors").write_bytes(b"half")
    with store.running():
        assert sorted(os.listdir(store.root / "tmp")) == sorted([f"{os.getpid()}-mine", f"{os.getppid()}-theirs"])
    store.check(KEY)


def test_processes_live_until_they_end() -> None:
    assert process_alive(os.getpid())
    assert process_alive(1)
    assert not process_alive(dead_process())


def test_two_threads_that_put_one_key_leave_one_whole_artifact(store: Store) -> None:
    artifacts = [Artifact(KEY, {"weights": torch.full((20_000,), float(number))}) for number in range(4)]
    for _ in range(5):
        store.discard(KEY)
        gate = threading.Barrier(len(artifacts))

        def write(artifact: Artifact, gate: threading.Barrier = gate) -> None:
            gate.wait()
            store.put(artifact)
            store.check(KEY)

        threads = [threading.Thread(target=write, args=(artifact,)) for artifact in artifacts]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert store.get(KEY).tensors["weights"].unique().numel() == 1
        assert os.listdir(store.root / "tmp") == []


def test_the_first_of_two_processes_wins_and_the_second_goes_on(start: Start, store: Store) -> None:
    program = (
        "who = pipe.recv()\n"
        "for number in range(12): store.put(Artifact(f'{number:064x}', {'who': torch.full((9,), who)}))\n"
        "pipe.send('done')\n"
    )
    workers = [start(program) for _ in range(2)]
    for who, worker in enumerate(workers):
        worker.pipe.send(who)
    assert [worker.pipe.recv() for worker in workers] == ["done", "done"]
    for number in range(12):
        assert store.get(f"{number:064x}").tensors["who"].tolist() in ([0] * 9, [1] * 9)
    assert os.listdir(store.root / "tmp") == []


def test_a_replaced_file_is_the_old_or_the_new_one(tmp_path: Path) -> None:
    file, stop = tmp_path / "record", threading.Event()
    contents = {bytes([letter]) * 50_000 for letter in b"ab"}
    replace_file(file, min(contents))

    def write() -> None:
        while not stop.is_set():
            for content in contents:
                replace_file(file, content)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        assert all(file.read_bytes() in contents for _ in range(300))
    finally:
        stop.set()
        writer.join()
    assert os.listdir(tmp_path) == ["record"]
