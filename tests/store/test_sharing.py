"""A store used by several processes: locks, and the checkpoints of a long fit."""

import os
from collections.abc import Callable
from typing import Any

import pytest

from retbench.errors import UserError
from retbench.store import Store

Start = Callable[[str], Any]
KEY = "ab" * 32


def test_the_store_cannot_be_locked_while_a_run_uses_it(start: Start, store: Store) -> None:
    runner = start("with store.in_use():\n    pipe.send('in'); pipe.recv()\npipe.send('out')\n")
    assert runner.pipe.recv() == "in"
    message = f"store {store.root}: a run is using it; try again when it has ended"
    with pytest.raises(UserError, match=message), store.exclusive():
        pass
    with store.in_use():
        pass
    runner.pipe.send("leave")
    assert runner.pipe.recv() == "out"
    with store.exclusive():
        assert store.keys() == set()


def test_a_run_waits_while_the_store_is_locked(start: Start, store: Store) -> None:
    with store.exclusive():
        runner = start("pipe.send('ready')\nwith store.in_use(): pipe.send('in')\n")
        assert runner.pipe.recv() == "ready"
        assert not runner.pipe.poll(0.2)
    assert runner.pipe.recv() == "in"


def test_the_lock_of_a_killed_run_is_released(start: Start, store: Store) -> None:
    runner = start("with store.in_use():\n    pipe.send('in'); pipe.recv()\n")
    assert runner.pipe.recv() == "in"
    runner.process.kill()
    runner.process.join()
    with store.exclusive():
        pass


def test_checkpoints_survive_a_failed_fit_and_are_removed_after_a_finished_one(store: Store) -> None:
    def fail() -> None:
        with store.checkpoints(KEY) as folder:
            (folder / "epoch-3").write_bytes(b"weights")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    with store.checkpoints("cd" * 32) as other:
        assert not (other / "epoch-3").exists()
    with store.checkpoints(KEY) as folder:
        assert (folder / "epoch-3").read_bytes() == b"weights"
    assert os.listdir(store.root / "work") == []
    with store.checkpoints(KEY) as folder:
        assert not (folder / "epoch-3").exists()


def test_checkpoints_survive_a_killed_process(start: Start, store: Store) -> None:
    worker = start(
        "with store.checkpoints('ab' * 32) as folder:\n"
        "    (folder / 'epoch-1').write_bytes(b'weights')\n"
        "    pipe.send(folder); pipe.recv()\n"
    )
    folder = worker.pipe.recv()
    worker.process.kill()
    worker.process.join()
    with store.checkpoints(KEY) as mine:
        assert mine == folder
        assert (mine / "epoch-1").read_bytes() == b"weights"


def test_the_second_process_of_a_fit_gets_a_private_folder(start: Start, store: Store) -> None:
    with store.checkpoints(KEY) as mine:
        (mine / "epoch-1").write_bytes(b"weights")
        second = start(
            "with store.checkpoints('ab' * 32) as folder:\n"
            "    pipe.send((folder, os.listdir(folder))); pipe.recv()\n"
            "pipe.send(folder.exists())\n"
        )
        theirs, content = second.pipe.recv()
        assert theirs.parent == store.root / "tmp"
        assert content == []
        second.pipe.send("leave")
        assert second.pipe.recv() is False
        assert (mine / "epoch-1").read_bytes() == b"weights"
    assert not mine.exists()
