"""Batches, progress and precision of a running step."""

from pathlib import Path

import pytest
import torch

from retbench.contracts import Context, Noise
from retbench.contracts.context import Precision


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


def test_a_failed_save_keeps_the_previous_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ctx = Context(torch.device("cpu"), "float32", Noise(0, ("fit",)), checkpoints=tmp_path)
    assert ctx.load_checkpoint("training") is None
    ctx.save_checkpoint("training", {"weights": torch.ones(2), "losses": [0.5]})
    monkeypatch.setattr(torch, "save", lambda state, path: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        ctx.save_checkpoint("training", {"weights": torch.zeros(2)})
    loaded = ctx.load_checkpoint("training")
    assert loaded is not None
    assert loaded["losses"] == [0.5]
    assert torch.equal(loaded["weights"], torch.ones(2))


def test_without_a_folder_no_checkpoint_is_saved() -> None:
    ctx = Context(torch.device("cpu"), "float32", Noise(0, ("fit",)))
    ctx.save_checkpoint("training", {"losses": [0.5]})
    assert ctx.load_checkpoint("training") is None
