"""Batches, progress and precision of a running step."""

import errno
import io
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from retbench.contracts import Context, Noise, checkpoint
from retbench.contracts.context import Precision
from retbench.errors import TrainingDiverged


def context(batch_size: int, reports: list[tuple[int, int]], precision: Precision = "float32") -> Context:
    noise = Noise(0, ("fit",))
    return Context(
        torch.device("cpu"), precision, noise, batch_size=batch_size, progress=lambda *report: reports.append(report)
    )


@pytest.mark.parametrize(("count", "size"), [(7, 3), (6, 3), (2, 5), (1, 1), (0, 4)])
def test_batches_cover_every_row_once_and_in_order(count: int, size: int) -> None:
    batches = list(context(size, []).batches(count))
    assert [row for rows in batches for row in rows] == list(range(count))
    assert all(0 < len(rows) <= size for rows in batches)


def test_progress_is_reported_after_each_batch() -> None:
    reports: list[tuple[int, int]] = []
    reports_before_batch = [len(reports) for _ in context(3, reports).batches(7)]
    assert reports_before_batch == [0, 1, 2]
    assert reports == [(3, 7), (6, 7), (7, 7)]


def test_an_exception_of_progress_stops_the_batches() -> None:
    def stop(done: int, total: int) -> None:
        raise TimeoutError(f"{done} of {total}")

    batches = Context(torch.device("cpu"), "float32", Noise(0, ("fit",)), batch_size=2, progress=stop).batches(6)
    assert next(batches) == range(0, 2)
    with pytest.raises(TimeoutError, match="2 of 6"):
        next(batches)


def test_a_context_without_services_records_nothing() -> None:
    ctx = Context(torch.device("cpu"), "float32", Noise(0, ("fit",)))
    ctx.record("loss", [1.0])
    assert [len(rows) for rows in ctx.batches(100)] == [64, 36]
    assert (ctx.parts, ctx.checkpoints) == ({}, None)


@pytest.mark.parametrize(("precision", "dtype"), [("float32", torch.float32), ("bf16", torch.bfloat16)])
def test_autocast_computes_products_in_the_steps_precision(precision: Precision, dtype: torch.dtype) -> None:
    with context(1, [], precision).autocast():
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == dtype


class FullDisk(io.FileIO):
    """A file on a disk with space for 100 more bytes."""

    def write(self, data: Any) -> int:
        if self.tell() + len(data) > 100:
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().write(data)


def test_a_full_disk_keeps_the_previous_checkpoint_and_the_step_goes_on_after_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    warnings: list[str] = []
    ctx = Context(torch.device("cpu"), "float32", Noise(0, ("fit",)), checkpoints=tmp_path, warn=warnings.append)
    ctx = replace(ctx, component="dpsh")
    assert ctx.load_checkpoint("training") is None
    ctx.save_checkpoint("training", {"weights": torch.ones(2), "losses": [0.5]})
    monkeypatch.setattr(checkpoint, "open", FullDisk, raising=False)
    ctx.save_checkpoint("training", {"weights": torch.zeros(2)})
    monkeypatch.undo()
    reason = "a checkpoint cannot be written: No space left on device"
    assert warnings == [f"dpsh: {reason}; the step goes on without it"]
    assert [path.name for path in tmp_path.iterdir()] == ["training.pt"]
    loaded = ctx.load_checkpoint("training")
    assert loaded is not None
    assert loaded["losses"] == [0.5]
    assert torch.equal(loaded["weights"], torch.ones(2))


def test_a_checkpoint_is_flushed_to_the_disk_before_it_gets_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names_at_sync: list[list[str]] = []
    sync = os.fsync

    def record(handle: int) -> None:
        names_at_sync.append(sorted(path.name for path in tmp_path.iterdir()))
        sync(handle)

    monkeypatch.setattr(os, "fsync", record)
    ctx = Context(torch.device("cpu"), "float32", Noise(0, ("fit",)), checkpoints=tmp_path)
    ctx.save_checkpoint("training", {"weights": torch.ones(2)})
    assert names_at_sync == [["training.partial"], ["training.pt"]]


def test_a_checkpoint_with_nan_is_not_written(tmp_path: Path) -> None:
    ctx = Context(torch.device("cpu"), "float32", Noise(0, ("fit",)), checkpoints=tmp_path)
    with pytest.raises(TrainingDiverged, match=r"^training: moments\.1 is not finite in the checkpoint 'own'$"):
        ctx.save_checkpoint("own", {"moments": [torch.ones(2), torch.tensor([1.0, float("inf")])]})
    assert list(tmp_path.iterdir()) == []


class Payload:
    """Runs code when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return print, ("run",)


def test_code_in_a_checkpoint_is_not_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    warnings: list[str] = []
    ctx = Context(torch.device("cpu"), "float32", Noise(0, ("fit",)), checkpoints=tmp_path, warn=warnings.append)
    ctx.save_checkpoint("training", {"payload": Payload()})
    assert ctx.load_checkpoint("training") is None
    assert "it cannot be read: UnpicklingError" in warnings[0]
    assert capsys.readouterr().out == ""


def test_without_a_folder_no_checkpoint_is_saved() -> None:
    ctx = Context(torch.device("cpu"), "float32", Noise(0, ("fit",)))
    ctx.save_checkpoint("training", {"losses": [0.5]})
    assert ctx.load_checkpoint("training") is None


def test_a_checkpoint_that_the_disk_does_not_return_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    warnings: list[str] = []
    ctx = Context(torch.device("cpu"), "float32", Noise(0, ("fit",)), checkpoints=tmp_path, warn=warnings.append)
    for step in (1, 2):
        ctx.save_checkpoint("training", {"step": step})
    read = Path.read_bytes

    def fail(path: Path) -> bytes:
        if path.name == "training.pt":
            raise OSError(errno.EIO, "Input/output error")
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", fail)
    assert ctx.load_checkpoint("training") == {"step": 1}
    assert "training.pt: it cannot be read: Input/output error; it resumes from the one before" in warnings[0]
    assert (tmp_path / "training.pt").exists()
