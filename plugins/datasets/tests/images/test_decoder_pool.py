"""Many pictures at once, in worker processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from retbench_datasets.images import decoder_pool
from retbench_datasets.images.decoder_pool import MOST_WORKERS, SMALL_BATCH, count_workers, decode_images
from retbench_datasets.images.decoding import Preprocessing, decode_image

from retbench import UserError

PREPROCESSING = Preprocessing(16, 20, "center")


@pytest.fixture
def paths(tmp_path: Path, picture: Callable[..., None]) -> list[Path]:
    """Enough pictures for the workers, one of them not there."""
    paths = [tmp_path / f"{number}.jpg" for number in range(SMALL_BATCH + 4)]
    for number, path in enumerate(paths[:-1]):
        picture(path, number)
    return paths


@pytest.fixture(scope="module")
def _workers_end() -> Iterator[None]:
    yield
    for pool in decoder_pool._POOLS.values():
        pool.shutdown()
    decoder_pool._POOLS.clear()


@pytest.mark.usefixtures("_workers_end")
def test_workers_decode_what_this_process_does_in_order(paths: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETBENCH_WORKERS", "2")
    got = list(decode_images(paths, PREPROCESSING))
    assert len(decoder_pool._POOLS) == 1
    for path, decoded in zip(paths[:-1], got, strict=False):
        assert np.array_equal(decoded, decode_image(path, PREPROCESSING))
    assert got[-1] == "no such file"
    (pool,) = decoder_pool._POOLS.values()
    assert len(list(decode_images(paths, PREPROCESSING))) == len(paths)
    assert list(decoder_pool._POOLS.values()) == [pool]


@pytest.mark.usefixtures("_workers_end")
def test_a_worker_that_dies_is_told_and_replaced(paths: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETBENCH_WORKERS", "2")
    list(decode_images(paths, PREPROCESSING))
    (pool,) = decoder_pool._POOLS.values()
    for process in list(pool._processes.values()):
        process.kill()
        process.join()
    with pytest.raises(UserError, match=r"a worker process died.*RETBENCH_WORKERS=1"):
        list(decode_images(paths, PREPROCESSING))
    assert len(list(decode_images(paths, PREPROCESSING))) == len(paths)


def test_a_small_batch_starts_no_worker(paths: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETBENCH_WORKERS", "3")
    assert len(list(decode_images(paths[: SMALL_BATCH - 1], PREPROCESSING))) == SMALL_BATCH - 1
    assert (os.getpid(), 3) not in decoder_pool._POOLS


def test_one_worker_is_this_process(paths: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETBENCH_WORKERS", "1")
    assert len(list(decode_images(paths, PREPROCESSING))) == len(paths)
    assert (os.getpid(), 1) not in decoder_pool._POOLS


def test_no_pictures_give_none() -> None:
    assert list(decode_images([], PREPROCESSING)) == []


@pytest.mark.parametrize("value", ["0", "-1", "many"])
def test_a_wrong_number_of_workers_is_refused(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETBENCH_WORKERS", value)
    with pytest.raises(UserError, match="RETBENCH_WORKERS: it must be a positive number"):
        count_workers()


def test_without_a_wish_there_are_as_many_workers_as_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETBENCH_WORKERS", "")
    assert 1 <= count_workers() <= MOST_WORKERS
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: range(64), raising=False)
    assert count_workers() == MOST_WORKERS


SCRIPT = """
import os, sys, time
from pathlib import Path
from retbench_datasets.images.decoder_pool import _POOLS, decode_images
from retbench_datasets.images.decoding import Preprocessing

if __name__ == "__main__":
    paths = [Path(sys.argv[2])] * 20
    list(decode_images(paths, Preprocessing(16, 20, "center")))
    print(*[process.pid for pool in _POOLS.values() for process in pool._processes.values()], flush=True)
    if sys.argv[1] == "fork":
        child = os.fork()
        if not child:
            os._exit(len(list(decode_images(paths, Preprocessing(16, 20, "center")))))
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        print(len(list(decode_images(paths, Preprocessing(16, 20, "center")))))
    if sys.argv[1] == "kill":
        os.kill(os.getpid(), 9)
    if sys.argv[1] == "interrupt":
        os.killpg(0, 2)
        time.sleep(5)
"""


def run_script(folder: Path, what: str, picture: Path) -> subprocess.CompletedProcess[str]:
    (folder / "script.py").write_text(SCRIPT)
    return subprocess.run(
        [sys.executable, str(folder / "script.py"), what, str(picture)],
        env={**os.environ, "RETBENCH_WORKERS": "2"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        start_new_session=True,
        preexec_fn=hear_interrupts,
    )


def hear_interrupts() -> None:
    """Undoes what a shell does to its background jobs, which would pass it on to the tests: to ignore Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def gone(pid: int) -> bool:
    for _ in range(100):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return True
        if state == "Z":
            return True
        time.sleep(0.05)
    return False


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc to see whether a process lives")
@pytest.mark.parametrize("what", ["nothing", "kill", "interrupt"])
def test_the_workers_end_with_their_process_without_a_word(tmp_path: Path, paths: list[Path], what: str) -> None:
    ended = run_script(tmp_path, what, paths[0])
    pids = [int(pid) for pid in ended.stdout.split()]
    assert pids
    assert all(gone(pid) for pid in pids)
    assert "SpawnProcess" not in ended.stderr
    assert (ended.returncode == 0) == (what == "nothing")
    if what == "nothing":
        assert ended.stderr == ""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_child_has_workers_of_its_own(tmp_path: Path, paths: list[Path]) -> None:
    ended = run_script(tmp_path, "fork", paths[0])
    assert ended.stdout.splitlines()[1:] == ["20", "20"], ended.stderr
