"""Writes take effect completely or not at all: full and read-only disks, killed and competing processes."""

import errno
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from retbench.errors import StoreUnwritable
from retbench.store import Artifact, Store
from retbench.store.files import name_process, process_alive, replace_file

Start = Callable[[str], Any]
KEY = "ab" * 32
WRITES: dict[str, Callable[[Store], object]] = {
    "put": lambda store: store.put(Artifact(KEY, {"weights": torch.ones(4)})),
    "record": lambda store: store.run_records.write(store.run_records.folder / "smoke.json", {"format": 2}),
    "lock of records": lambda store: store.run_records.locked().__enter__(),
    "append_timing": lambda store: store.append_timing({}),
    "checkpoints": lambda store: store.checkpoints(KEY).__enter__(),
    "in_use": lambda store: store.in_use().__enter__(),
    "exclusive": lambda store: store.exclusive().__enter__(),
}


def dead_process() -> int:
    """Return the id of a process that has ended."""
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Yield a separate file system of 256 KiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)]
    if not shutil.which("mount") or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("mounting a file system: no permission")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.parametrize("write", WRITES)
def test_a_store_that_is_a_file_raises_with_what_to_do(tmp_path: Path, write: str) -> None:
    file = tmp_path / "store"
    file.write_bytes(b"mine")
    for root in (file, file / "below"):
        with pytest.raises(StoreUnwritable) as caught:
            WRITES[write](Store(root))
        assert str(caught.value) == f"store {root}: it is not a folder; choose another with store=DIR"
    assert file.read_bytes() == b"mine"


def test_a_store_that_is_a_file_has_no_artifacts(tmp_path: Path) -> None:
    file = tmp_path / "store"
    file.write_bytes(b"mine")
    store = Store(file)
    assert not store.has(KEY)
    assert (store.keys(), store.run_records.paths(), store.timings(), store.size(KEY)) == (set(), [], [], 0)


@pytest.mark.parametrize("write", WRITES)
def test_a_store_without_permission_raises_with_what_to_do(write: str) -> None:
    root = Path("/sys/retbench-store")
    try:
        root.mkdir()
    except PermissionError:
        message = f"store {root}: no permission to write; choose another with store=DIR"
        with pytest.raises(StoreUnwritable, match=message):
            WRITES[write](Store(root))
    except OSError as error:
        pytest.skip(f"creating {root}: expected PermissionError, got {error}")


@pytest.mark.parametrize("write", WRITES)
def test_writing_to_a_read_only_store_raises_with_what_to_do_and_reading_works(small_disk: Path, write: str) -> None:
    store = Store(small_disk / "store")
    store.put(Artifact("cd" * 32, {"weights": torch.ones(4)}))
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    message = f"store {store.root}: it is read-only; choose another with store=DIR"
    with pytest.raises(StoreUnwritable, match=message):
        WRITES[write](store)
    with pytest.raises(StoreUnwritable, match=message):
        store.discard("cd" * 32)
    assert torch.equal(store.get("cd" * 32).tensors["weights"], torch.ones(4))


def test_a_full_disk_raises_with_what_to_do_and_leaves_no_partial_files(small_disk: Path) -> None:
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
@pytest.mark.parametrize("write", ["put", "record"])
def test_a_failed_flush_leaves_no_partial_files(
    store: Store, monkeypatch: pytest.MonkeyPatch, write: str, code: int
) -> None:
    def fail(handle: int) -> None:
        raise OSError(code, os.strerror(code))

    smoke = store.run_records.folder / "smoke.json"
    store.run_records.write(smoke, {"format": 2, "number": 1})
    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(StoreUnwritable, match=f"store {store.root}: the disk .* free some space"):
        WRITES[write](store)
    assert store.keys() == set()
    assert store.run_records.read(smoke) == {"format": 2, "number": 1}
    files = [path for path in store.root.rglob("*") if path.is_file()]
    assert [path.name for path in files] == ["smoke.json"]


def test_other_write_errors_are_not_converted(start: Start, store: Store) -> None:
    worker = start(
        "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "try: store.put(Artifact('ab' * 32, {'weights': torch.ones(4000)}))\n"
        "except OSError as error: pipe.send((type(error).__name__, error.errno))\n"
    )
    assert worker.pipe.recv() == ("OSError", errno.EFBIG)
    assert store.keys() == set()
    assert os.listdir(store.root / "tmp") == []


def test_an_interrupted_write_leaves_no_artifact(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_an_interrupted_removal_leaves_no_artifact(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def die(folder: Path, **options: object) -> None:
        os.unlink(next(iter(folder.iterdir())))
        raise KeyboardInterrupt

    WRITES["put"](store)
    with monkeypatch.context() as patched:
        patched.setattr(shutil, "rmtree", die)
        with pytest.raises(KeyboardInterrupt):
            store.discard(KEY)
    assert not store.has(KEY)
    assert store.keys() == set()


def test_a_killed_process_leaves_only_complete_artifacts(start: Start, store: Store) -> None:
    worker = start(
        "for number in range(10**6):\n"
        "    store.put(Artifact(f'{number:064x}', {'weights': torch.full((50_000,), float(number))}))\n"
        "    if number % 7 == 0: store.discard(f'{number:064x}')\n"
        "    store.append_timing({'number': number})\n"
        "    store.run_records.write(store.run_records.folder / 'smoke.json', {'format': 2, 'number': number})\n"
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
    [record] = store.run_records.paths()
    assert store.run_records.read(record)["number"] in range(19, 10**6)
    store.remove_leftovers()
    assert os.listdir(store.root / "tmp") == []


def make_leftover(store: Store, name: str, age: float = 0.0) -> Path:
    """Return a temporary folder with a file, whose last change was some seconds ago."""
    folder = store.root / "tmp" / name
    folder.mkdir()
    (folder / "tensors.safetensors").write_bytes(b"half")
    changed = time.time() - age
    for path in (folder / "tensors.safetensors", folder):
        os.utime(path, (changed, changed))
    return folder


def test_only_the_leftovers_of_ended_processes_are_removed(store: Store) -> None:
    store.put(Artifact(KEY))
    machine = name_process().rsplit(".", 2)[0]
    make_leftover(store, f"{machine}.{dead_process()}.1-left")
    live = [make_leftover(store, f"{name_process(pid)}-live").name for pid in (os.getpid(), os.getppid())]
    with store.in_use():
        assert sorted(os.listdir(store.root / "tmp")) == sorted(live)
    store.check(KEY)


def test_the_leftovers_of_a_process_whose_id_was_given_again_are_removed(store: Store) -> None:
    store.put(Artifact(KEY))
    machine = name_process().rsplit(".", 2)[0]
    make_leftover(store, f"{machine}.{os.getpid()}.1-left")
    with store.in_use():
        assert os.listdir(store.root / "tmp") == []


@pytest.mark.parametrize("name", ["other.0123abcd.{dead}.77-theirs", "{dead}-former", "nobody"])
def test_the_leftovers_of_another_machine_are_removed_only_when_they_are_old(store: Store, name: str) -> None:
    store.put(Artifact(KEY))
    folder = make_leftover(store, name.format(dead=dead_process()))
    store.remove_leftovers()
    assert folder.exists()
    day = 24 * 60 * 60
    old = make_leftover(store, f"{name.format(dead=1)}-old", age=8 * day)
    growing = make_leftover(store, f"{name.format(dead=1)}-growing", age=8 * day)
    (growing / "epoch-2").write_bytes(b"new")
    os.utime(growing, (0, 0))
    store.remove_leftovers()
    assert (folder.exists(), old.exists(), growing.exists()) == (True, False, True)


def test_a_process_is_named_by_machine_id_and_start(start: Start) -> None:
    other = start("from retbench.store.files import name_process\npipe.send((os.getpid(), name_process()))\n")
    pid, name = other.pipe.recv()
    assert name == name_process(pid) != name_process()
    assert name.rsplit(".", 2)[0] == name_process().rsplit(".", 2)[0]
    assert "-" not in name


def test_a_process_is_alive_until_it_ends() -> None:
    assert process_alive(os.getpid())
    assert process_alive(1)
    assert not process_alive(dead_process())


def test_threads_that_put_the_same_key_leave_one_complete_artifact(store: Store) -> None:
    artifacts = [Artifact(KEY, {"weights": torch.full((20_000,), float(number))}) for number in range(4)]
    for _ in range(5):
        store.discard(KEY)
        barrier = threading.Barrier(len(artifacts))

        def write(artifact: Artifact, barrier: threading.Barrier = barrier) -> None:
            barrier.wait()
            store.put(artifact)
            store.check(KEY)

        threads = [threading.Thread(target=write, args=(artifact,)) for artifact in artifacts]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert store.get(KEY).tensors["weights"].unique().numel() == 1
        assert os.listdir(store.root / "tmp") == []


def test_the_artifacts_of_the_first_of_two_processes_are_kept(start: Start, store: Store) -> None:
    program = (
        "worker = pipe.recv()\n"
        "for number in range(12): store.put(Artifact(f'{number:064x}', {'worker': torch.full((9,), worker)}))\n"
        "pipe.send('done')\n"
    )
    workers = [start(program) for _ in range(2)]
    for number, worker in enumerate(workers):
        worker.pipe.send(number)
    assert [worker.pipe.recv() for worker in workers] == ["done", "done"]
    for number in range(12):
        assert store.get(f"{number:064x}").tensors["worker"].tolist() in ([0] * 9, [1] * 9)
    assert os.listdir(store.root / "tmp") == []


def test_a_file_being_replaced_has_the_old_or_the_new_bytes(tmp_path: Path) -> None:
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


def test_threads_that_replace_one_file_do_not_disturb_each_other(tmp_path: Path) -> None:
    file, errors = tmp_path / "record", list[Exception]()
    contents = [bytes([letter]) * 50_000 for letter in b"abcd"]

    def write(content: bytes) -> None:
        try:
            for _ in range(25):
                replace_file(file, content)
                assert file.read_bytes() in contents
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=write, args=(content,)) for content in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert os.listdir(tmp_path) == ["record"]


def test_a_file_with_the_longest_name_can_be_replaced(tmp_path: Path) -> None:
    file = tmp_path / f"{'n' * 250}.json"
    replace_file(file, b"{}")
    assert file.read_bytes() == b"{}"
