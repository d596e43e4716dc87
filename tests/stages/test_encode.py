"""Encoding images and texts into packed codes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, ClassVar, Literal

import pytest
import torch
from torch import Tensor

from retbench.contracts import Context, Hasher, State
from retbench.errors import ContractBreach
from retbench.metrics import unpack
from retbench.stages import EncodeQueries, EncodeSplit, Load, Victim, draw_queries
from retbench.testing.toys import ToyDataset, ToyHasher, ToyNetwork

BITS = 13
TOY, VICTIM = ToyDataset(), Victim(ToyHasher(), "weights")


class StubNetwork(ToyNetwork):
    """Computes its logits with a function of the test."""

    compute: ClassVar[Callable[[Tensor], Tensor]]

    def image(self, images: Tensor) -> Tensor:
        return type(self).compute(images)


class StubHasher(ToyHasher):
    def network(self, state: State, device: torch.device) -> ToyNetwork:
        return StubNetwork(state)


@pytest.fixture
def load(artifacts: Callable[..., Load]) -> Load:
    weight = torch.randn(BITS, 3, generator=torch.Generator().manual_seed(0))
    images = TOY.images("query", range(5)).float() / 255
    return artifacts(
        weights={"weight": weight, "mean": torch.tensor([0.4, 0.4, 0.4])},
        first={"images": 1 - images[:2]},
        second={"images": 1 - images[2:]},
    )


def logits(load: Load, modality: str, inputs: Tensor) -> Tensor:
    network = ToyHasher().network(dict(load("weights").tensors), torch.device("cpu"))
    return network.text(inputs) if modality == "text" else network.image(inputs)


def codes(tensors: Any) -> Tensor:
    return unpack(tensors["codes"], BITS)


def signs(values: Tensor) -> Tensor:
    return torch.where(values >= 0, 1, -1).to(torch.int8)


@pytest.mark.parametrize("batch_size", [1, 7, 64])
def test_the_codes_of_a_split_are_the_signs_of_the_logits(load: Load, ctx: Context, batch_size: int) -> None:
    outcome = EncodeSplit(VICTIM, BITS, "image", "float32", TOY, "database").run(
        load, replace(ctx, batch_size=batch_size)
    )
    images = TOY.images("database", range(40)).float() / 255
    assert torch.equal(codes(outcome.tensors), signs(logits(load, "image", images)))
    assert outcome.tensors["codes"].shape == (40, 2)
    assert outcome.summary["distinct"] == len(torch.unique(codes(outcome.tensors), dim=0))
    assert outcome.summary["float32_agreement"] == 1.0


def test_texts_are_encoded_by_the_text_network(load: Load, ctx: Context) -> None:
    queries = draw_queries(TOY, 4)
    split = EncodeSplit(VICTIM, BITS, "text", "float32", TOY, "database").run(load, ctx)
    encoded = EncodeQueries(VICTIM, BITS, "text", "float32", queries).run(load, ctx)
    assert torch.equal(codes(split.tensors), signs(logits(load, "text", TOY.texts("database", range(40)))))
    assert torch.equal(codes(encoded.tensors), signs(logits(load, "text", TOY.texts("query", queries.rows))))


def test_clean_queries_are_encoded_in_the_order_of_the_sample(load: Load, ctx: Context) -> None:
    queries = draw_queries(TOY, 4)
    outcome = EncodeQueries(VICTIM, BITS, "image", "float32", queries).run(load, ctx)
    images = TOY.images("query", queries.rows).float() / 255
    assert torch.equal(codes(outcome.tensors), signs(logits(load, "image", images)))


def test_stored_images_of_all_shards_are_encoded_in_order(load: Load, ctx: Context) -> None:
    queries = draw_queries(TOY, 5)
    stage = EncodeQueries(VICTIM, BITS, "image", "float32", queries, (("first", "second"),))
    stored = torch.cat([load(shard).tensors["images"] for shard in ("first", "second")])
    encoded = codes(stage.run(load, replace(ctx, batch_size=2)).tensors)
    assert torch.equal(encoded, signs(logits(load, "image", stored)))
    assert not torch.equal(encoded, signs(logits(load, "image", 1 - stored)))


def test_codes_of_copies_are_combined_by_the_vote(load: Load, ctx: Context, artifacts: Callable[..., Load]) -> None:
    queries = draw_queries(TOY, 2)
    images = torch.rand(3, 2, 3, 1, 1, generator=torch.Generator().manual_seed(1)).expand(-1, -1, -1, 4, 4)
    weights = dict(load("weights").tensors)
    load = artifacts(weights=weights, a={"images": images[0]}, b={"images": images[1]}, c={"images": images[2]})
    copies = torch.stack([logits(load, "image", copy) for copy in images])
    shards = (("a",), ("b",), ("c",))
    mean, majority = (
        codes(EncodeQueries(VICTIM, BITS, "image", "float32", queries, shards, vote).run(load, ctx).tensors)
        for vote in ("mean", "majority")
    )
    assert torch.equal(mean, signs(copies.tanh().sum(0)))
    assert torch.equal(majority, signs(copies.sign().sum(0)))
    assert not torch.equal(mean, majority)


def test_a_tied_bit_is_plus_one(ctx: Context, artifacts: Callable[..., Load]) -> None:
    weights = {"weight": torch.tensor([[1.0, 0.0, 0.0]] * BITS), "mean": torch.full((3,), 0.5)}
    load = artifacts(weights=weights, a={"images": torch.zeros(2, 3, 4, 4)}, b={"images": torch.ones(2, 3, 4, 4)})
    stage = EncodeQueries(VICTIM, BITS, "image", "float32", draw_queries(TOY, 2), (("a",), ("b",)), "majority")
    assert (codes(stage.run(load, ctx).tensors) == 1).all()


def test_the_recipe_has_the_vote_only_with_several_copies() -> None:
    def recipe(shards: tuple[tuple[str, ...], ...], vote: Literal["mean", "majority"]) -> object:
        return EncodeQueries(VICTIM, BITS, "image", "float32", draw_queries(TOY, 2), shards, vote).recipe()

    assert recipe((("a",),), "mean") == recipe((("a",),), "majority")
    assert recipe((("a",), ("b",)), "mean") != recipe((("a",), ("b",)), "majority")


def test_no_queries_have_no_codes(load: Load, ctx: Context) -> None:
    queries = draw_queries(ToyDataset(queries=0), "all")
    outcome = EncodeQueries(VICTIM, BITS, "image", "float32", queries).run(load, ctx)
    assert outcome.tensors["codes"].shape == (0, 2)
    assert outcome.tensors["codes"].dtype == torch.uint8
    assert outcome.summary["distinct"] == 0


def make_hasher(compute: Callable[[Tensor], Tensor], monkeypatch: pytest.MonkeyPatch) -> Hasher:
    monkeypatch.setattr(StubNetwork, "compute", staticmethod(compute), raising=False)
    return StubHasher()


def test_bf16_records_the_share_of_bits_that_agree_with_float32(
    load: Load, ctx: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    # In bf16 1.001 and 1 are equal, so the logit 1 - 1.001 becomes 0, and its bit +1.
    rows = torch.tensor([[1.001, 1.0]]).expand(40, 2)
    weight = torch.tensor([[1.0, -1.0], [-1.0, 1.0], [1.0, 1.0], [-1.0, -1.0]])
    hasher = make_hasher(lambda images: rows[: len(images)] @ weight.T, monkeypatch)
    stages = [EncodeSplit(Victim(hasher, "weights"), 4, "image", p, TOY, "database") for p in ("float32", "bf16")]
    exact, rounded = (stage.run(load, replace(ctx, precision=stage.precision)) for stage in stages)
    assert unpack(exact.tensors["codes"], 4)[0].tolist() == [1, -1, 1, -1]
    assert unpack(rounded.tensors["codes"], 4)[0].tolist() == [1, 1, 1, -1]
    assert exact.summary["float32_agreement"] == 1.0
    assert rounded.summary["float32_agreement"] == 0.75


@pytest.mark.parametrize(
    ("compute", "problem"),
    [
        (
            lambda images: torch.zeros(len(images), BITS + 1),
            r"wrong shape of logits: got \(40, 14\), expected \(40, 13\)",
        ),
        (lambda images: torch.zeros(1, BITS), r"wrong shape of logits: got \(1, 13\)"),
        (lambda images: torch.zeros(len(images), BITS) / 0, "NaN or infinity in the logits"),
        (lambda images: torch.ones(len(images), BITS) / 0, "NaN or infinity in the logits"),
    ],
    ids=["bits", "rows", "nan", "inf"],
)
def test_invalid_logits_are_a_contract_breach(
    load: Load, ctx: Context, monkeypatch: pytest.MonkeyPatch, compute: Callable[[Tensor], Tensor], problem: str
) -> None:
    stage = EncodeSplit(Victim(make_hasher(compute, monkeypatch), "weights"), BITS, "image", "float32", TOY, "database")
    with pytest.raises(ContractBreach, match=rf"^hasher toy \(package .*\): {problem}"):
        stage.run(load, ctx)


def test_a_network_may_return_the_same_tensor_at_every_call(
    ctx: Context, monkeypatch: pytest.MonkeyPatch, artifacts: Callable[..., Load]
) -> None:
    buffer = torch.zeros(2, BITS)

    def fill(images: Tensor) -> Tensor:
        return buffer.copy_((images.mean(dim=(1, 2, 3)) - 0.6)[:, None].expand(-1, BITS))

    weights = {"weight": torch.ones(BITS, 3), "mean": torch.zeros(3)}
    images = {name: {"images": torch.full((2, 3, 4, 4), level)} for name, level in (("a", 0.0), ("b", 0.1), ("c", 1.0))}
    victim = Victim(make_hasher(fill, monkeypatch), "weights")
    shards = (("a",), ("b",), ("c",))
    stage = EncodeQueries(victim, BITS, "image", "float32", draw_queries(TOY, 2), shards, "majority")
    assert (codes(stage.run(artifacts(weights=weights, **images), ctx).tensors) == -1).all()


def test_the_float32_logits_of_a_bf16_run_are_checked_too(
    load: Load, ctx: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    def compute(images: Tensor) -> Tensor:
        return torch.zeros(len(images) if torch.is_autocast_enabled("cpu") else 1, BITS)

    stage = EncodeSplit(Victim(make_hasher(compute, monkeypatch), "weights"), BITS, "image", "bf16", TOY, "database")
    with pytest.raises(ContractBreach, match=r"wrong shape of logits: got \(1, 13\), expected \(40, 13\)"):
        stage.run(load, replace(ctx, precision="bf16"))
