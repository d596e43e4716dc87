"""The retrieval gallery, made from a plan and a store: single queries before an attack, under it, behind a defense.

Source: Figure 3 of RetPur (Diffusion Purification Model for Defending Hash Retrieval Target Attacks).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from typing import NamedTuple, cast

import numpy as np
import torch
from torch import Tensor

from retbench.errors import ArtifactError
from retbench.metrics import average_precision, hamming
from retbench.plan import Plan, PlannedCell
from retbench.report.gallery.combination import Combination, find_combinations, spread
from retbench.report.gallery.exhibit import SIDE, Exhibit, Gallery, Hit, Ranking, Which
from retbench.report.tables.layout import printed_name
from retbench.report.tables.pattern import settings_of
from retbench.stages import Perturb, Purify, Score
from retbench.store import Store
from retbench.suite import Cell

Names = Callable[[str, str | int], str]
"""What a value of an axis is called in print."""

FACTORS = (1, 2, 5, 10, 20, 50, 100)
IN_RANGE = 0.99
"""A perturbation is amplified as long as this share of its values stays in the range of a picture."""


def make_gallery(
    plan: Plan, store: Store, layout_names: Names = printed_name, answers: int = 10, most: int = 12
) -> Gallery:
    """Return the gallery of what is stored of a plan: two queries for each combination, in the plan's order.

    A combination is an attack on a hasher that answers images with images: without attack, under it, and behind one
    defense (see `combination` for which, and for which are shown where there are more than `most`). One whose codes or
    images are damaged or not stored is left out, and the next takes its place. Scores need not be stored.

    The two queries are those with the lower median and the largest change (see `choose_queries`) of their average
    precision, under attack less clean: by the target's labels for a targeted attack, by their own for an untargeted
    one, which has no target.

    Args:
        plan: the cells, and the keys of their codes and images.
        store: where those are.
        layout_names: what the values of axes are called, such as `Layout.named` of a layout.
        answers: how many answers a ranking shows, nearest first, those at one distance in database order.
        most: how many combinations are shown.
    """
    combinations = list(find_combinations(plan))
    maker = _ExhibitMaker(plan, store, layout_names, answers)
    found: dict[int, list[Exhibit]] = {}
    for at in spread(combinations):
        if len(found) < most and (exhibits := maker.exhibits(combinations[at])):
            found[at] = exhibits
    return Gallery(tuple(exhibit for at in sorted(found) for exhibit in found[at]), tuple(maker.pictures))


class Choice(NamedTuple):
    """A query's place among the queries, why it is shown, and its change."""

    query: int
    which: Which
    change: float


def choose_queries(changes: Tensor) -> list[Choice]:
    """Return the query with the lower median of changes, and the one with the largest, whatever its sign.

    Of several with that change it is the first. A change that is NaN is passed over; where all are, or there is none,
    no query is chosen. A query that is both is named once, as the median.

    Args:
        changes: float64 (Q,).
    """
    values = changes.numpy()
    if not np.isfinite(values).any():
        return []
    ordered = np.sort(values[np.isfinite(values)])
    median = int(np.flatnonzero(values == ordered[(len(ordered) - 1) // 2])[0])
    largest = int(np.nanargmax(np.abs(values)))
    chosen: list[tuple[int, Which]] = [(median, "median change")]
    if largest != median:
        chosen.append((largest, "largest change"))
    return [Choice(at, which, float(values[at])) for at, which in chosen]


@dataclass(frozen=True)
class _Codes:
    """What a cell ranks: packed codes of the queries and of the database that they search, uint8 (Q, B) and (M, B)."""

    score: Score
    queries: Tensor
    database: Tensor

    def precisions(self, labels: Tensor, database_labels: Tensor) -> Tensor:
        """Return the average precision of each query by these labels, as the suite defines it: float64 (Q,)."""
        protocol = self.score.protocol
        return average_precision(
            self.queries,
            self.database,
            labels,
            database_labels,
            bits=self.score.bits,
            definition=protocol.map,
            depth=protocol.depth,
            ties=protocol.ties,
        )

    def of(self, query: int) -> _Codes:
        """Return the same of one query."""
        return _Codes(self.score, self.queries[query : query + 1], self.database)


class _Labels(NamedTuple):
    """Labels of the queries, of their targets, and of the database: uint8 (Q, C), (Q, C) and (M, C)."""

    own: Tensor
    wanted: Tensor
    database: Tensor


class _Looks(NamedTuple):
    """What one query looked like: float32 (3, H, W) in [0, 1]."""

    clean: Tensor
    attacked: Tensor
    purified: Tensor | None


@dataclass
class _ExhibitMaker:
    """Makes exhibits, and keeps each of their pictures once, by its bytes."""

    plan: Plan
    store: Store
    names: Names
    answers: int
    pictures: dict[bytes, int] = field(default_factory=dict)

    def exhibits(self, combination: Combination) -> list[Exhibit]:
        """Return the exhibits of a combination; none where what they show is damaged or not stored."""
        try:
            codes = [self._codes(planned) for planned in combination.cells]
            labels = self._labels(codes[0].score)
            by = labels.wanted if combination.targeted else labels.own
            clean, attacked = (each.precisions(by, labels.database) for each in codes[:2])
            chosen = [(choice, self._looks(combination, choice.query)) for choice in choose_queries(attacked - clean)]
        except ArtifactError:
            return []
        return [self._exhibit(combination, codes, labels, choice, looks) for choice, looks in chosen]

    def _codes(self, planned: PlannedCell) -> _Codes:
        score = self._score(planned)
        return _Codes(score, *(self.store.get(key).tensors["codes"] for key in (score.codes, score.database)))

    def _score(self, planned: PlannedCell) -> Score:
        return cast(Score, self.plan.steps[cast(str, planned.key)])

    def _labels(self, score: Score) -> _Labels:
        targets = self.store.get(score.targets).tensors["labels"][list(score.queries.rows)]
        return _Labels(score.queries.labels(), targets, score.queries.dataset.labels("database"))

    def _looks(self, combination: Combination, at: int) -> _Looks:
        clean = self._score(combination.clean).queries.images(range(at, at + 1), torch.device("cpu"))[0]
        attacked = self._saved(combination.attacked.attacked, at)
        if combination.defended is None or not combination.shares_images:
            return _Looks(clean, attacked, None)
        return _Looks(clean, attacked, self._saved(self._score(combination.defended).purified[0], at))

    def _saved(self, shards: Sequence[str], at: int) -> Tensor:
        """Return the image of a query from the shard that holds it."""
        held = {key: cast(Perturb | Purify, self.plan.steps[key]).queries for key in shards}
        key, queries = next((key, part) for key, part in held.items() if part.first <= at < part.first + len(part))
        return self.store.get(key).tensors["images"][at - queries.first]

    def _exhibit(
        self, combination: Combination, codes: Sequence[_Codes], labels: _Labels, choice: Choice, looks: _Looks
    ) -> Exhibit:
        at, queries = choice.query, codes[0].score.queries
        hasher, attack, defense = self._named(combination)
        amplified, perturbation = amplify(looks.attacked - looks.clean)
        behind = f"behind {defense}" if combination.shares_images else f"behind {defense}, attacked anew"
        steps = zip(("before the attack", "under attack", behind), codes, strict=False)
        row = _Labels(labels.own[at : at + 1], labels.wanted[at : at + 1], labels.database)
        classes = queries.dataset.facts().classes
        return Exhibit(
            dataset=self.names("dataset", combination.clean.cell.axes["dataset"]),
            hasher=hasher,
            attack=attack,
            defense=defense,
            query=queries.ids[at],
            which=choice.which,
            change=choice.change,
            classes=_listed(row.own, classes),
            target=_listed(row.wanted, classes) if combination.targeted else "",
            amplified=amplified,
            clean=self._place(looks.clean),
            perturbation=self._place(perturbation),
            attacked=self._place(looks.attacked),
            purified=None if looks.purified is None else self._place(looks.purified),
            rankings=tuple(self._ranking(label, each.of(at), row, combination.targeted) for label, each in steps),
        )

    def _ranking(self, label: str, codes: _Codes, labels: _Labels, targeted: bool) -> Ranking:
        """Return the ranking of one query; nobody wants an answer where there is no target."""
        distances = hamming(codes.queries, codes.database)[0]
        rows = distances.argsort(stable=True)[: self.answers].tolist()
        found = labels.database[rows]
        relevant, wanted = (((found & of).sum(1) > 0).tolist() for of in (labels.own, labels.wanted))
        dataset = codes.score.queries.dataset
        hits = tuple(
            Hit(self._place(image / 255), int(distances[row]), relevant[at], targeted and wanted[at])
            for at, (row, image) in enumerate(zip(rows, dataset.images("database", rows), strict=True))
        )
        own, target = (float(codes.precisions(of, labels.database)) for of in (labels.own, labels.wanted))
        return Ranking(label, own, target, hits)

    def _named(self, combination: Combination) -> tuple[str, str, str]:
        """Return what hasher, attack and defense are called, each with its swept options."""
        clean, attacked = combination.clean.cell, combination.attacked.cell
        hasher = f"{self.names('hasher', clean.axes['hasher'])}, {clean.bits} bits{self._swept(clean)}"
        attack = self.names("attack", attacked.axes["attack"])
        if attacked.surrogate is not None:
            attack += f" {self.names('surrogate', attacked.axes['surrogate'])}"
        attack += self._swept(attacked, clean)
        if combination.defended is None:
            return hasher, attack, ""
        defended = combination.defended.cell
        return hasher, attack, self.names("defense", defended.axes["defense"]) + self._swept(defended, attacked)

    def _swept(self, cell: Cell, beside: Cell | None = None) -> str:
        """Return the swept options of a cell in brackets, less those of the one beside it."""
        known = settings_of(beside.variant) if beside else []
        swept = ",".join(f"{name}={value}" for name, value in settings_of(cell.variant) if (name, value) not in known)
        return f" ({self.names('variant', swept)})" if swept else ""

    def _place(self, image: Tensor) -> int:
        return self.pictures.setdefault(encode_image(image), len(self.pictures))


class Amplified(NamedTuple):
    """A perturbation made visible: what it is multiplied by, and float32 (3, H, W) in [0, 1] around a middle gray."""

    factor: float
    image: Tensor


def amplify(perturbation: Tensor) -> Amplified:
    """Return a perturbation as a picture, times the largest factor that keeps 99 % of its values in range, 1 at least.

    What leaves the range all the same is cut. The factors are 1, 2, 5, 10, 20, 50 and 100.

    Args:
        perturbation: float32 (3, H, W), the attacked image less the clean one.
    """

    def kept(factor: int) -> float:
        return float((factor * perturbation.double().abs() <= 0.5).double().mean())

    factor = max((factor for factor in FACTORS if kept(factor) >= IN_RANGE), default=FACTORS[0])
    return Amplified(float(factor), (0.5 + factor * perturbation).clamp(0, 1))


def encode_image(image: Tensor) -> bytes:
    """Return an image as PNG: pixel for pixel, or scaled down to 64 pixels on its longer side.

    Args:
        image: float32 (3, H, W) in [0, 1].
    """
    from PIL import Image

    picture = Image.fromarray((255 * image).round().to(torch.uint8).permute(1, 2, 0).contiguous().numpy())
    picture.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    buffer = BytesIO()
    picture.save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


def _listed(labels: Tensor, classes: Sequence[str]) -> str:
    return ", ".join(name for name, carried in zip(classes, labels[0].tolist(), strict=True) if carried)
