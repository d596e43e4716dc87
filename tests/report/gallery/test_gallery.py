"""The gallery, against plain numpy on the stored artifacts."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from retbench.execute import LocalExecutor
from retbench.plan import Plan, PlannedCell
from retbench.report.gallery.exhibit import Exhibit, Gallery
from retbench.report.gallery.gallery import amplify, encode_image, make_gallery, select_queries
from retbench.stages import Score
from retbench.store import Store
from retbench.testing.toys import ToyDataset

Planner = Callable[..., Plan]
Runner = Callable[..., Plan]
BITS = 5  # few, so that many distances tie
TOY = ToyDataset()
DEFENDED: dict[str, Any] = {"bits": BITS, "attack": ["none", "toy"], "defense": ["none", "toy"]}
CLASSES = np.array(["red", "green", "blue"])


@pytest.fixture
def run_matrix(toy_plan: Planner, executor: LocalExecutor) -> Runner:
    """Plan and run a matrix."""

    def run(matrix: dict[str, Any], **rest: Any) -> Plan:
        plan = toy_plan(matrix, **rest)
        assert executor.run(plan).failures == {}
        return plan

    return run


class RankedCell:
    """The stored codes and scores of a cell, ranked by counting different bits."""

    def __init__(self, plan: Plan, cell: PlannedCell, store: Store) -> None:
        score = plan.steps[cell.key or ""]
        assert isinstance(score, Score)
        self.ids, self.rows = score.queries.ids, list(score.queries.rows)
        packed = (store.get(key).tensors["codes"].numpy() for key in (score.codes, score.database))
        queries, database = (np.unpackbits(codes, axis=1)[:, :BITS] for codes in packed)
        self.distances = (queries[:, None] != database[None]).sum(2)
        self.order = np.argsort(self.distances, axis=1, kind="stable")
        self.own = TOY.labels("query").numpy()[self.rows].astype(int)
        self.target = store.get(score.targets).tensors["labels"].numpy()[self.rows].astype(int)
        self.database = TOY.labels("database").numpy().astype(int)
        self.scores = store.get(cell.key or "").tensors

    def precisions(self, labels: NDArray[np.int64]) -> NDArray[np.float64]:
        relevant = np.take_along_axis(labels @ self.database.T > 0, self.order, axis=1)
        hits, ranks = relevant.cumsum(1), np.arange(1, relevant.shape[1] + 1)
        return (relevant * hits / ranks).sum(1) / relevant.sum(1)


def rank_cells(plan: Plan, store: Store) -> dict[tuple[str | int, str | int], RankedCell]:
    """Return the cells of a plan by attack and defense."""
    return {(p.cell.axes["attack"], p.cell.axes["defense"]): RankedCell(plan, p, store) for p in plan.cells}


def pixels(gallery: Gallery, index: int | None) -> NDArray[np.uint8]:
    """Return an image of a gallery: uint8 (3, H, W)."""
    assert index is not None
    with Image.open(io.BytesIO(gallery.images[index])) as image:
        assert image.mode == "RGB"
        return np.asarray(image).transpose(2, 0, 1)


def eight_bits(image: torch.Tensor) -> NDArray[np.uint8]:
    return (image.double() * 255).round().numpy().astype(np.uint8)


def stored_images(plan: Plan, store: Store, keys: tuple[str, ...]) -> torch.Tensor:
    return torch.cat([store.get(key).tensors["images"] for key in keys])


@pytest.mark.parametrize(("attack", "labels", "eps"), [("toy", "target", 0.08), ("toy-untargeted", "own", 0.25)])
def test_the_queries_have_the_median_and_the_largest_change(
    run_matrix: Runner, store: Store, attack: str, labels: str, eps: float
) -> None:
    plan = run_matrix({"bits": BITS, "attack": ["none", attack]}, components={"attack": {attack: {"eps": eps}}})
    cells = rank_cells(plan, store)
    clean, attacked = (cells[name, "none"] for name in ("none", attack))
    changes = attacked.precisions(getattr(attacked, labels)) - clean.precisions(getattr(clean, labels))
    assert len(set(changes)) > 3
    shown = {exhibit.which: exhibit for exhibit in make_gallery(plan, store).exhibits}
    expected = {"median change": sorted(changes)[4], "largest change": max(changes, key=abs)}
    assert {which: exhibit.change for which, exhibit in shown.items()} == pytest.approx(expected)
    for which, exhibit in shown.items():
        first = next(at for at, change in enumerate(changes) if change == pytest.approx(expected[which], abs=1e-12))
        assert exhibit.query == clean.ids[first]


@given(st.lists(st.one_of(st.sampled_from([-1.0, -0.5, 0.0, 0.25, 1.0]), st.just(float("nan"))), max_size=9))
def test_of_several_queries_with_the_same_change_the_first_is_selected(changes: list[float]) -> None:
    finite = [change for change in changes if change == change]
    selected = select_queries(torch.tensor(changes, dtype=torch.float64))
    if not finite:
        assert selected == []
        return
    median = changes.index(sorted(finite)[(len(finite) - 1) // 2])
    largest = min(at for at, change in enumerate(changes) if abs(change) == max(map(abs, finite)))
    expected = [(median, "median change", changes[median]), (largest, "largest change", changes[largest])]
    assert selected == expected[: 1 if largest == median else 2]


def test_answers_are_the_nearest_with_ties_in_database_order(run_matrix: Runner, store: Store) -> None:
    plan = run_matrix(DEFENDED)
    gallery, cells = make_gallery(plan, store, answers=7), rank_cells(plan, store)
    steps = {
        "before the attack": cells["none", "none"],
        "under attack": cells["toy", "none"],
        "behind toy": cells["toy", "toy"],
    }
    assert gallery.exhibits
    for exhibit in gallery.exhibits:
        at = cells["none", "none"].ids.index(exhibit.query)
        assert [ranking.label for ranking in exhibit.rankings] == list(steps)
        for ranking, cell in zip(exhibit.rankings, steps.values(), strict=True):
            rows = cell.order[at, :7]
            assert [hit.distance for hit in ranking.hits] == cell.distances[at, rows].tolist()
            assert [hit.relevant for hit in ranking.hits] == (cell.database[rows] @ cell.own[at] > 0).tolist()
            assert [hit.wanted for hit in ranking.hits] == (cell.database[rows] @ cell.target[at] > 0).tolist()
            answers = np.stack([pixels(gallery, hit.image) for hit in ranking.hits])
            assert np.array_equal(answers, TOY.images("database", rows.tolist()).numpy())
            assert ranking.map == pytest.approx(cell.precisions(cell.own)[at])
            assert ranking.t_map == pytest.approx(cell.precisions(cell.target)[at])
        assert exhibit.classes == ", ".join(CLASSES[cell.own[at] > 0])
        assert exhibit.target == ", ".join(CLASSES[cell.target[at] > 0])


def test_precisions_follow_the_suites_protocol(run_matrix: Runner, store: Store) -> None:
    plan = run_matrix(DEFENDED, protocol={"map": "first-k-relevant", "depth": 3, "ties": "expected"})
    cells = list(rank_cells(plan, store).values())
    for exhibit in make_gallery(plan, store).exhibits:
        at = cells[0].ids.index(exhibit.query)
        precisions = [(ranking.map, ranking.t_map) for ranking in exhibit.rankings]
        by_cell = [(cell.scores["map"][at], cell.scores["t_map"][at]) for cell in (cells[0], cells[2], cells[3])]
        assert precisions == pytest.approx(np.array(by_cell))


def test_an_untargeted_attack_has_no_wanted_answers(run_matrix: Runner, store: Store) -> None:
    plan = run_matrix({"bits": BITS, "attack": ["none", "toy-untargeted"]})
    for exhibit in make_gallery(plan, store).exhibits:
        assert exhibit.target == ""
        assert not any(hit.wanted for ranking in exhibit.rankings for hit in ranking.hits)


@pytest.mark.parametrize("shard", [3, 50])
def test_the_query_images_are_the_stored_ones(run_matrix: Runner, store: Store, shard: int) -> None:
    plan = run_matrix(DEFENDED, shard=shard, components={"defense": {"toy": {"copies": 2}}})
    gallery = make_gallery(plan, store)
    defended = plan.cells[-1]
    ids, rows = (lambda cell: (cell.ids, cell.rows))(rank_cells(plan, store)["none", "none"])
    attacked, purified = (stored_images(plan, store, keys) for keys in (defended.attacked, defended.purified))
    assert len(purified) == 2 * len(attacked) == 20
    for exhibit in gallery.exhibits:
        at = ids.index(exhibit.query)
        clean = TOY.images("query", [rows[at]])[0]
        assert np.array_equal(pixels(gallery, exhibit.clean), clean.numpy())
        assert np.array_equal(pixels(gallery, exhibit.attacked), eight_bits(attacked[at]))
        assert np.array_equal(pixels(gallery, exhibit.purified), eight_bits(purified[at]))
        perturbation = exhibit.amplified * (attacked[at].double() - clean.double() / 255) + 0.5
        difference = pixels(gallery, exhibit.perturbation).astype(int) - 255 * perturbation.clamp(0, 1).numpy()
        assert np.abs(difference).max() <= 0.5 + 1e-3


@pytest.mark.parametrize(
    ("largest", "factor"), [(0.6, 1), (0.5, 1), (0.26, 1), (0.25, 2), (0.1, 5), (0.02, 20), (0.005, 100), (0.0, 100)]
)
def test_a_perturbation_is_amplified_within_the_range(largest: float, factor: int) -> None:
    amplified, image = amplify(torch.full((3, 4, 4), largest, dtype=torch.float64) * torch.tensor([1, -1, 1, -1]))
    assert amplified == factor
    assert image.amax() == pytest.approx(min(0.5 + factor * largest, 1))
    assert image.amin() == pytest.approx(max(0.5 - factor * largest, 0))


@pytest.mark.parametrize(("outliers", "factor"), [(3, 10), (4, 1)])
def test_one_percent_of_the_values_may_leave_the_range(outliers: int, factor: int) -> None:
    perturbation = torch.full((3, 10, 10), 0.04)
    perturbation.view(-1)[:outliers] = 0.4
    assert amplify(perturbation).factor == factor


@pytest.mark.parametrize(
    ("size", "shown"), [((12, 12), (12, 12)), ((64, 48), (64, 48)), ((128, 96), (64, 48)), ((50, 100), (32, 64))]
)
def test_a_large_image_is_scaled_down(size: tuple[int, int], shown: tuple[int, int]) -> None:
    image = torch.rand(3, 1, 1).expand(3, *size)
    with Image.open(io.BytesIO(encode_image(image))) as picture:
        read = np.asarray(picture)
    assert read.shape == (*shown, 3)
    assert (read == eight_bits(image[:, 0, 0])).all()


def test_each_image_is_stored_once_and_used(run_matrix: Runner, store: Store) -> None:
    gallery = make_gallery(run_matrix(DEFENDED), store)
    assert len(set(gallery.images)) == len(gallery.images)
    assert set(image_indices(gallery)) == set(range(len(gallery.images)))


def image_indices(gallery: Gallery) -> list[int]:
    own = [index for exhibit in gallery.exhibits for index in exhibit.query_images.values() if index is not None]
    return own + [hit.image for exhibit in gallery.exhibits for ranking in exhibit.rankings for hit in ranking.hits]


def attacks(exhibits: tuple[Exhibit, ...]) -> set[str]:
    return {exhibit.attack for exhibit in exhibits}


def test_without_stored_results_the_gallery_is_empty(toy_plan: Planner, store: Store) -> None:
    assert make_gallery(toy_plan(DEFENDED), store) == Gallery((), ())


def test_without_queries_the_gallery_is_empty(run_matrix: Runner, store: Store) -> None:
    assert make_gallery(run_matrix(DEFENDED, components={"dataset": {"toy": {"queries": 0}}}), store) == Gallery((), ())


def test_a_gallery_needs_no_scores(run_matrix: Runner, store: Store) -> None:
    plan = run_matrix(DEFENDED)
    before = make_gallery(plan, store)
    for planned in plan.cells:
        store.discard(planned.key or "")
    assert make_gallery(plan, store) == before


@pytest.mark.parametrize("missing", ["attacked", "purified", "codes", "database", "targets"])
def test_a_combination_with_missing_artifacts_is_left_out(run_matrix: Runner, store: Store, missing: str) -> None:
    plan = run_matrix({**DEFENDED, "attack": ["none", "toy", "toy-untargeted"]})
    assert attacks(make_gallery(plan, store).exhibits) == {"toy", "toy-untargeted"}
    cell = next(p for p in plan.cells if (p.cell.axes["attack"], p.cell.axes["defense"]) == ("toy", "toy"))
    score = plan.steps[cell.key or ""]
    keys = getattr(cell if missing in ("attacked", "purified") else score, missing)
    store.discard(keys if isinstance(keys, str) else keys[0])
    gallery = make_gallery(plan, store)
    assert attacks(gallery.exhibits) == (set() if missing in ("database", "targets") else {"toy-untargeted"})
    assert set(image_indices(gallery)) == set(range(len(gallery.images)))


def test_a_combination_with_damaged_artifacts_is_left_out(run_matrix: Runner, store: Store) -> None:
    plan = run_matrix(DEFENDED)
    path: Path = next(store.root.glob(f"objects/*/{plan.cells[-1].purified[0]}/tensors.safetensors"))
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    assert make_gallery(plan, store) == Gallery((), ())


def test_images_of_other_queries_may_be_missing(run_matrix: Runner, store: Store) -> None:
    plan = run_matrix(DEFENDED, shard=1)
    before = make_gallery(plan, store)
    ids = rank_cells(plan, store)["none", "none"].ids
    shown = {ids.index(exhibit.query) for exhibit in before.exhibits}
    for at, key in enumerate(plan.cells[-1].attacked):
        if at not in shown:
            store.discard(key)
    assert make_gallery(plan, store) == before


def test_a_hardened_hasher_searches_its_own_database(run_matrix: Runner, store: Store) -> None:
    plan = run_matrix({**DEFENDED, "defense": ["none", "toy-hardening"]})
    cell = rank_cells(plan, store)["toy", "toy-hardening"]
    for exhibit in make_gallery(plan, store).exhibits:
        at = cell.ids.index(exhibit.query)
        last = exhibit.rankings[-1]
        assert (exhibit.purified, last.label) == (None, "behind toy-hardening, attacked separately")
        assert [hit.distance for hit in last.hits] == np.sort(cell.distances[at])[:10].tolist()


def test_without_a_defense_there_are_two_rankings(run_matrix: Runner, store: Store) -> None:
    for exhibit in make_gallery(run_matrix({"attack": ["none", "toy"]}), store).exhibits:
        assert (exhibit.defense, exhibit.purified, len(exhibit.rankings)) == ("", None, 2)


def test_printed_names_are_the_layouts_with_swept_options(run_matrix: Runner, store: Store) -> None:
    attack, defense = {"toy": {"sweep": {"eps": [0.1]}}}, {"toy": {"sweep": {"strength": [0.5]}}}
    matrix = {"bits": BITS, "attack": ["none", attack], "defense": ["none", defense], "surrogate": ["none", "toy"]}
    gallery = make_gallery(run_matrix(matrix), store, lambda axis, value: f"<{axis} {value}>")
    assert [exhibit[:4] for exhibit in gallery.exhibits[::2]] == [
        ("<dataset toy>", f"<hasher toy>, {BITS} bits", f"<attack toy>{on} (<variant eps=0.1>)", swept)
        for on, swept in zip(("", " <surrogate toy>"), ["<defense toy> (<variant strength=0.5>)"] * 2, strict=True)
    ]


def test_a_limit_keeps_the_first_code_length_of_every_attack_in_plan_order(run_matrix: Runner, store: Store) -> None:
    plan = run_matrix({"bits": [8, 16], "attack": ["none", "toy", "toy-untargeted"]})
    shown = [(exhibit.hasher, exhibit.attack) for exhibit in make_gallery(plan, store, most=3).exhibits]
    assert list(dict.fromkeys(shown)) == [
        ("toy, 8 bits", "toy"),
        ("toy, 8 bits", "toy-untargeted"),
        ("toy, 16 bits", "toy"),
    ]


def test_a_missing_combination_is_replaced_by_the_next(run_matrix: Runner, store: Store) -> None:
    plan = run_matrix({"bits": [8, 16], "attack": ["none", "toy"]})
    store.discard(plan.cells[1].attacked[0])
    assert {exhibit.hasher for exhibit in make_gallery(plan, store, most=1).exhibits} == {"toy, 16 bits"}
