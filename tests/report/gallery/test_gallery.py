"""The retrieval gallery, against plain numpy on the stored artifacts."""

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
from retbench.report.gallery.gallery import amplify, choose_queries, encode_image, make_gallery
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
def ran(toy_plan: Planner, executor: LocalExecutor) -> Runner:
    """Plans a matrix and runs it."""

    def run(matrix: dict[str, Any], **rest: Any) -> Plan:
        plan = toy_plan(matrix, **rest)
        assert executor.run(plan).failures == {}
        return plan

    return run


class Ranked:
    """What a cell stored, ranked by counting different bits."""

    def __init__(self, plan: Plan, cell: PlannedCell, store: Store) -> None:
        score = plan.steps[cell.key or ""]
        assert isinstance(score, Score)
        self.ids, self.rows = score.queries.ids, list(score.queries.rows)
        packed = (store.get(key).tensors["codes"].numpy() for key in (score.codes, score.database))
        queries, database = (np.unpackbits(codes, axis=1)[:, :BITS] for codes in packed)
        self.distances = (queries[:, None] != database[None]).sum(2)
        self.order = np.argsort(self.distances, axis=1, kind="stable")
        self.own = TOY.labels("query").numpy()[self.rows].astype(int)
        self.wanted = store.get(score.targets).tensors["labels"].numpy()[self.rows].astype(int)
        self.database = TOY.labels("database").numpy().astype(int)
        self.scores = store.get(cell.key or "").tensors

    def precisions(self, labels: NDArray[np.int64]) -> NDArray[np.float64]:
        relevant = np.take_along_axis(labels @ self.database.T > 0, self.order, axis=1)
        hits, ranks = relevant.cumsum(1), np.arange(1, relevant.shape[1] + 1)
        return (relevant * hits / ranks).sum(1) / relevant.sum(1)


def ranked(plan: Plan, store: Store) -> dict[tuple[str | int, str | int], Ranked]:
    """Return the cells of a plan by attack and defense."""
    return {(p.cell.axes["attack"], p.cell.axes["defense"]): Ranked(plan, p, store) for p in plan.cells}


def pixels(gallery: Gallery, place: int | None) -> NDArray[np.uint8]:
    """Return a picture of a gallery: uint8 (3, H, W)."""
    assert place is not None
    with Image.open(io.BytesIO(gallery.images[place])) as image:
        assert image.mode == "RGB"
        return np.asarray(image).transpose(2, 0, 1)


def eight_bits(image: torch.Tensor) -> NDArray[np.uint8]:
    return (image.double() * 255).round().numpy().astype(np.uint8)


def saved(plan: Plan, store: Store, keys: tuple[str, ...]) -> torch.Tensor:
    return torch.cat([store.get(key).tensors["images"] for key in keys])


@pytest.mark.parametrize(("attack", "labels", "eps"), [("toy", "wanted", 0.08), ("toy-untargeted", "own", 0.25)])
def test_the_queries_are_those_with_the_median_and_the_largest_change(
    ran: Runner, store: Store, attack: str, labels: str, eps: float
) -> None:
    plan = ran({"bits": BITS, "attack": ["none", attack]}, components={"attack": {attack: {"eps": eps}}})
    cells = ranked(plan, store)
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
def test_of_several_queries_with_the_chosen_change_the_first_is_shown(changes: list[float]) -> None:
    told = [change for change in changes if change == change]
    chosen = choose_queries(torch.tensor(changes, dtype=torch.float64))
    if not told:
        assert chosen == []
        return
    median = changes.index(sorted(told)[(len(told) - 1) // 2])
    largest = min(at for at, change in enumerate(changes) if abs(change) == max(map(abs, told)))
    expected = [(median, "median change", changes[median]), (largest, "largest change", changes[largest])]
    assert chosen == expected[: 1 if largest == median else 2]


def test_the_answers_are_the_nearest_and_keep_the_order_of_the_database(ran: Runner, store: Store) -> None:
    plan = ran(DEFENDED)
    gallery, cells = make_gallery(plan, store, answers=7), ranked(plan, store)
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
            assert [hit.wanted for hit in ranking.hits] == (cell.database[rows] @ cell.wanted[at] > 0).tolist()
            answers = np.stack([pixels(gallery, hit.image) for hit in ranking.hits])
            assert np.array_equal(answers, TOY.images("database", rows.tolist()).numpy())
            assert ranking.map == pytest.approx(cell.precisions(cell.own)[at])
            assert ranking.t_map == pytest.approx(cell.precisions(cell.wanted)[at])
        assert exhibit.classes == ", ".join(CLASSES[cell.own[at] > 0])
        assert exhibit.target == ", ".join(CLASSES[cell.wanted[at] > 0])


def test_precisions_are_by_the_definition_of_the_suite(ran: Runner, store: Store) -> None:
    plan = ran(DEFENDED, protocol={"map": "first-k-relevant", "depth": 3, "ties": "expected"})
    cells = list(ranked(plan, store).values())
    for exhibit in make_gallery(plan, store).exhibits:
        at = cells[0].ids.index(exhibit.query)
        told = [(ranking.map, ranking.t_map) for ranking in exhibit.rankings]
        by_cell = [(cell.scores["map"][at], cell.scores["t_map"][at]) for cell in (cells[0], cells[2], cells[3])]
        assert told == pytest.approx(np.array(by_cell))


def test_an_untargeted_attack_wants_nothing(ran: Runner, store: Store) -> None:
    plan = ran({"bits": BITS, "attack": ["none", "toy-untargeted"]})
    for exhibit in make_gallery(plan, store).exhibits:
        assert exhibit.target == ""
        assert not any(hit.wanted for ranking in exhibit.rankings for hit in ranking.hits)


@pytest.mark.parametrize("shard", [3, 50])
def test_the_pictures_are_the_stored_ones(ran: Runner, store: Store, shard: int) -> None:
    plan = ran(DEFENDED, shard=shard, components={"defense": {"toy": {"copies": 2}}})
    gallery = make_gallery(plan, store)
    defended = plan.cells[-1]
    ids, rows = (lambda cell: (cell.ids, cell.rows))(ranked(plan, store)["none", "none"])
    attacked, purified = (saved(plan, store, keys) for keys in (defended.attacked, defended.purified))
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
def test_a_perturbation_is_amplified_while_it_stays_in_range(largest: float, factor: int) -> None:
    told, image = amplify(torch.full((3, 4, 4), largest, dtype=torch.float64) * torch.tensor([1, -1, 1, -1]))
    assert told == factor
    assert image.amax() == pytest.approx(min(0.5 + factor * largest, 1))
    assert image.amin() == pytest.approx(max(0.5 - factor * largest, 0))


@pytest.mark.parametrize(("outliers", "factor"), [(3, 10), (4, 1)])
def test_one_value_in_a_hundred_may_leave_the_range(outliers: int, factor: int) -> None:
    perturbation = torch.full((3, 10, 10), 0.04)
    perturbation.view(-1)[:outliers] = 0.4
    assert amplify(perturbation).factor == factor


@pytest.mark.parametrize(
    ("size", "shown"), [((12, 12), (12, 12)), ((64, 48), (64, 48)), ((128, 96), (64, 48)), ((50, 100), (32, 64))]
)
def test_a_large_picture_is_scaled_down(size: tuple[int, int], shown: tuple[int, int]) -> None:
    image = torch.rand(3, 1, 1).expand(3, *size)
    with Image.open(io.BytesIO(encode_image(image))) as picture:
        read = np.asarray(picture)
    assert read.shape == (*shown, 3)
    assert (read == eight_bits(image[:, 0, 0])).all()


def test_each_picture_is_kept_once_and_shown(ran: Runner, store: Store) -> None:
    gallery = make_gallery(ran(DEFENDED), store)
    assert len(set(gallery.images)) == len(gallery.images)
    assert set(places(gallery)) == set(range(len(gallery.images)))


def places(gallery: Gallery) -> list[int]:
    own = [place for exhibit in gallery.exhibits for place in exhibit.pictures.values() if place is not None]
    return own + [hit.image for exhibit in gallery.exhibits for ranking in exhibit.rankings for hit in ranking.hits]


def attacks(exhibits: tuple[Exhibit, ...]) -> set[str]:
    return {exhibit.attack for exhibit in exhibits}


def test_nothing_stored_gives_an_empty_gallery(toy_plan: Planner, store: Store) -> None:
    assert make_gallery(toy_plan(DEFENDED), store) == Gallery((), ())


def test_no_queries_give_an_empty_gallery(ran: Runner, store: Store) -> None:
    assert make_gallery(ran(DEFENDED, components={"dataset": {"toy": {"queries": 0}}}), store) == Gallery((), ())


def test_a_gallery_needs_no_scores(ran: Runner, store: Store) -> None:
    plan = ran(DEFENDED)
    before = make_gallery(plan, store)
    for planned in plan.cells:
        store.discard(planned.key or "")
    assert make_gallery(plan, store) == before


@pytest.mark.parametrize("what", ["attacked", "purified", "codes", "database", "targets"])
def test_what_is_missing_leaves_its_combination_out(ran: Runner, store: Store, what: str) -> None:
    plan = ran({**DEFENDED, "attack": ["none", "toy", "toy-untargeted"]})
    assert attacks(make_gallery(plan, store).exhibits) == {"toy", "toy-untargeted"}
    cell = next(p for p in plan.cells if (p.cell.axes["attack"], p.cell.axes["defense"]) == ("toy", "toy"))
    score = plan.steps[cell.key or ""]
    found = getattr(cell if what in ("attacked", "purified") else score, what)
    store.discard(found if isinstance(found, str) else found[0])
    gallery = make_gallery(plan, store)
    assert attacks(gallery.exhibits) == (set() if what in ("database", "targets") else {"toy-untargeted"})
    assert set(places(gallery)) == set(range(len(gallery.images)))


def test_what_is_damaged_leaves_its_combination_out(ran: Runner, store: Store) -> None:
    plan = ran(DEFENDED)
    path: Path = next(store.root.glob(f"objects/*/{plan.cells[-1].purified[0]}/tensors.safetensors"))
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    assert make_gallery(plan, store) == Gallery((), ())


def test_images_of_queries_that_are_not_shown_may_be_missing(ran: Runner, store: Store) -> None:
    plan = ran(DEFENDED, shard=1)
    before = make_gallery(plan, store)
    ids = ranked(plan, store)["none", "none"].ids
    shown = {ids.index(exhibit.query) for exhibit in before.exhibits}
    for at, key in enumerate(plan.cells[-1].attacked):
        if at not in shown:
            store.discard(key)
    assert make_gallery(plan, store) == before


def test_a_hardened_hasher_searches_a_database_of_its_own(ran: Runner, store: Store) -> None:
    plan = ran({**DEFENDED, "defense": ["none", "toy-hardening"]})
    cell = ranked(plan, store)["toy", "toy-hardening"]
    for exhibit in make_gallery(plan, store).exhibits:
        at = cell.ids.index(exhibit.query)
        last = exhibit.rankings[-1]
        assert (exhibit.purified, last.label) == (None, "behind toy-hardening, attacked anew")
        assert [hit.distance for hit in last.hits] == np.sort(cell.distances[at])[:10].tolist()


def test_without_a_defense_there_are_two_rankings(ran: Runner, store: Store) -> None:
    for exhibit in make_gallery(ran({"attack": ["none", "toy"]}), store).exhibits:
        assert (exhibit.defense, exhibit.purified, len(exhibit.rankings)) == ("", None, 2)


def test_everything_is_called_what_the_layout_says_and_shows_what_is_swept(ran: Runner, store: Store) -> None:
    attack, defense = {"toy": {"sweep": {"eps": [0.1]}}}, {"toy": {"sweep": {"strength": [0.5]}}}
    matrix = {"bits": BITS, "attack": ["none", attack], "defense": ["none", defense], "surrogate": ["none", "toy"]}
    gallery = make_gallery(ran(matrix), store, lambda axis, value: f"<{axis} {value}>")
    assert [exhibit[:4] for exhibit in gallery.exhibits[::2]] == [
        ("<dataset toy>", f"<hasher toy>, {BITS} bits", f"<attack toy>{on} (<variant eps=0.1>)", swept)
        for on, swept in zip(("", " <surrogate toy>"), ["<defense toy> (<variant strength=0.5>)"] * 2, strict=True)
    ]


def test_a_cut_keeps_the_first_code_length_of_every_attack_in_the_order_of_the_plan(ran: Runner, store: Store) -> None:
    plan = ran({"bits": [8, 16], "attack": ["none", "toy", "toy-untargeted"]})
    shown = [(exhibit.hasher, exhibit.attack) for exhibit in make_gallery(plan, store, most=3).exhibits]
    assert list(dict.fromkeys(shown)) == [
        ("toy, 8 bits", "toy"),
        ("toy, 8 bits", "toy-untargeted"),
        ("toy, 16 bits", "toy"),
    ]


def test_what_takes_the_place_of_a_missing_combination_is_the_next(ran: Runner, store: Store) -> None:
    plan = ran({"bits": [8, 16], "attack": ["none", "toy"]})
    store.discard(plan.cells[1].attacked[0])
    assert {exhibit.hasher for exhibit in make_gallery(plan, store, most=1).exhibits} == {"toy, 16 bits"}
