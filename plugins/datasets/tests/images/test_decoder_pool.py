"""Decoding of many images in worker processes."""

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
from retbench_datasets.images.decoder_pool import MAX_WORKERS, SMALL_BATCH, count_workers, decode_images
from retbench_datasets.images.decoding import Preprocessing, decode_image

from retbench import UserError

PREPROCESSING = Preprocessing(16, 20, "center")


@pytest.fixture
def paths(tmp_path: Path, make_image: Callable[..., None]) -> list[Path]:
    """Return enough paths to start the workers; the last file does not exist."""
    paths = [tmp_path / f"{number}.jpg" for number in range(SMALL_BATCH + 4)]
    for number, path in enumerate(paths[:-1]):
        make_image(path, number)
    return paths


@pytest.fixture(scope="module")
def _stop_workers() -> Iterator[None]:
    yield
    for pool in decoder_pool._POOLS.values():
        pool.shutdown()
    decoder_pool._POOLS.clear()


@pytest.mark.usefixtures("_stop_workers")
def test_workers_return_the_same_images_in_order(paths: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETBENCH_WORKERS", "2")
    got = list(decode_images(paths, PREPROCESSING))
    assert len(decoder_pool._POOLS) == 1
    for path, decoded in zip(paths[:-1], got, strict=False):
        assert np.array_equal(decoded, decode_image(path, PREPROCESSING))
    assert got[-1] == "no such file"
    (pool,) = decoder_pool._POOLS.values()
    assert len(list(decode_images(paths, PREPROCESSING))) == len(paths)
    assert list(decoder_pool._POOLS.values()) == [pool]


@pytest.mark.usefixtures("_stop_workers")
def test_a_dead_worker_is_reported_and_replaced(paths: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_one_worker_decodes_in_this_process(paths: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETBENCH_WORKERS", "1")
    assert len(list(decode_images(paths, PREPROCESSING))) == len(paths)
    assert (os.getpid(), 1) not in decoder_pool._POOLS


def test_no_paths_give_no_images() -> None:
    assert list(decode_images([], PREPROCESSING)) == []


@pytest.mark.parametrize("value", ["0", "-1", "many"])
def test_a_wrong_number_of_workers_is_refused(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETBENCH_WORKERS", value)
    with pytest.raises(UserError, match=r"RETBENCH_WORKERS: wrong number of processes: got .*, expected 1, 2"):
        count_workers()


def test_the_default_is_one_worker_per_core(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETBENCH_WORKERS", "")
    assert 1 <= count_workers() <= MAX_WORKERS
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: range(64), raising=False)
    assert count_workers() == MAX_WORKERS


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


def run_script(folder: Path, ending: str, image: Path) -> subprocess.CompletedProcess[str]:
    (folder / "script.py").write_text(SCRIPT)
    return subprocess.run(
        [sys.executable, str(folder / "script.py"), ending, str(image)],
        env={**os.environ, "RETBENCH_WORKERS": "2"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        start_new_session=True,
        preexec_fn=restore_interrupts,
    )


def restore_interrupts() -> None:
    """Undo the setting of background jobs to ignore Ctrl-C, which the script would inherit."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def has_ended(pid: int) -> bool:
    for _ in range(100):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return True
        if state == "Z":
            return True
        time.sleep(0.05)
    return False


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc to check whether a process has ended")
@pytest.mark.parametrize("ending", ["exit", "kill", "interrupt"])
def test_workers_end_silently_with_their_process(tmp_path: Path, paths: list[Path], ending: str) -> None:
    ended = run_script(tmp_path, ending, paths[0])
    pids = [int(pid) for pid in ended.stdout.split()]
    assert pids
    assert all(has_ended(pid) for pid in pids)
    assert "SpawnProcess" not in ended.stderr
    assert (ended.returncode == 0) == (ending == "exit")
    if ending == "exit":
        assert ended.stderr == ""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_child_starts_its_own_workers(tmp_path: Path, paths: list[Path]) -> None:
    ended = run_script(tmp_path, "fork", paths[0])
    assert ended.stdout.splitlines()[1:] == ["20", "20"], ended.stderr
