"""Batches, progress and precision of a running step."""

from pathlib import Path

import pytest
import torch

from retbench.contracts import Context, Noise
from retbench.contracts.context import Precision


def context(batch_size: int, told: list[tuple[int, int]], precision: Precision = "float32") -> Context:
    noise = Noise(0, ("fit",))
    return Context(
        torch.device("cpu"), precision, noise, batch_size=batch_size, progress=lambda *done: told.append(done)
    )


@pytest.mark.parametrize(("count", "size"), [(7, 3), (6, 3), (2, 5), (1, 1), (0, 4)])
def test_batches_cover_every_row_once_and_in_order(count: int, size: int) -> None:
    batches = list(context(size, []).batches(count))
    assert [row for rows in batches for row in rows] == list(range(count))
    assert all(0 < len(rows) <= size for rows in batches)


def test_progress_is_told_after_each_batch() -> None:
    told: list[tuple[int, int]] = []
    seen = [len(told) for _ in context(3, told).batches(7)]
    assert seen == [0, 1, 2]
    assert told == [(3, 7), (6, 7), (7, 7)]


def test_what_progress_raises_stops_the_batches() -> None:
    def stop(done: int, total: int) -> None:
        raise TimeoutError(f"{done} of {total}")

    batches = Context(torch.device("cpu"), "float32", Noise(0, ("fit",)), batch_size=2, progress=stop).batches(6)
    assert next(batches) == range(0, 2)
    with pytest.raises(TimeoutError, match="2 of 6"):
        next(batches)


def test_a_context_alone_keeps_and_tells_nothing() -> None:
    ctx = Context(torch.device("cpu"), "float32", Noise(0, ("fit",)))
    ctx.record("loss", [1.0])
    assert [len(rows) for rows in ctx.batches(100)] == [64, 36]
    assert (ctx.parts, ctx.checkpoints) == ({}, None)


@pytest.mark.parametrize(("precision", "dtype"), [("float32", torch.float32), ("bf16", torch.bfloat16)])
def test_autocast_computes_products_in_the_steps_precision(precision: Precision, dtype: torch.dtype) -> None:
    with context(1, [], precision).autocast():
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == dtype


def test_a_checkpoint_is_read_back_and_half_of_one_is_never_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ctx = Context(torch.device("cpu"), "float32", Noise(0, ("fit",)), checkpoints=tmp_path)
    assert ctx.load_checkpoint("training") is None
    ctx.save_checkpoint("training", {"weights": torch.ones(2), "losses": [0.5]})
    monkeypatch.setattr(torch, "save", lambda state, path: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        ctx.save_checkpoint("training", {"weights": torch.zeros(2)})
    kept = ctx.load_checkpoint("training")
    assert kept is not None
    assert kept["losses"] == [0.5]
    assert torch.equal(kept["weights"], torch.ones(2))


def test_without_a_folder_nothing_is_kept() -> None:
    ctx = Context(torch.device("cpu"), "float32", Noise(0, ("fit",)))
    ctx.save_checkpoint("training", {"losses": [0.5]})
    assert ctx.load_checkpoint("training") is None
