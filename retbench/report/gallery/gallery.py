"""Makes the gallery of a plan and a store: single queries before an attack, under attack, and behind a defense.

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
from retbench.report.gallery.combination import Combination, display_order, find_combinations
from retbench.report.gallery.exhibit import MAX_SIDE, ChangeKind, Exhibit, Gallery, Hit, Ranking
from retbench.report.tables.layout import printed_name
from retbench.report.tables.pattern import swept_options
from retbench.stages import Perturb, Purify, Score
from retbench.store import Store
from retbench.suite import Cell

NameLookup = Callable[[str, str | int], str]
"""Returns the printed name of a value of an axis."""

FACTORS = (1, 2, 5, 10, 20, 50, 100)
IN_RANGE = 0.99
"""Share of a perturbation's values that must stay in the range of an image when it is amplified."""


def make_gallery(
    plan: Plan, store: Store, layout_names: NameLookup = printed_name, answers: int = 10, most: int = 12
) -> Gallery:
    """Return the gallery of a plan's stored results: two queries for each combination, in the plan's order.

    A combination is an attack on a hasher for image-to-image retrieval: without attack, under attack, and behind one
    defense (see `combination` for which defense, and for the order if there are more than `most`). Combinations whose
    codes or images are damaged or not stored are replaced by the next ones. Scores need not be stored.

    The two queries are those with the lower median and the largest change (see `select_queries`) in average precision,
    under attack less clean: by the target's labels for a targeted attack, by their own labels for an untargeted one.

    Args:
        plan: the cells, and the keys of their codes and images.
        store: the store that holds them.
        layout_names: the printed names of the values of axes, for example `Layout.printed_name`.
        answers: number of answers per ranking, nearest first, ties in database order.
        most: maximum number of combinations.
    """
    combinations = list(find_combinations(plan))
    maker = _ExhibitMaker(plan, store, layout_names, answers)
    shown: dict[int, list[Exhibit]] = {}
    for index in display_order(combinations):
        if len(shown) < most and (exhibits := maker.exhibits(combinations[index])):
            shown[index] = exhibits
    return Gallery(tuple(exhibit for index in sorted(shown) for exhibit in shown[index]), tuple(maker.images))


class SelectedQuery(NamedTuple):
    """The position of a query, why it is shown, and its change."""

    position: int
    which: ChangeKind
    change: float


def select_queries(changes: Tensor) -> list[SelectedQuery]:
    """Return the query with the lower median change, and the one with the largest absolute change.

    Of several queries with the same change, the first is returned. NaN changes are ignored; if all are NaN, or there
    are none, the result is empty. A query that is both is returned once, as the median.

    Args:
        changes: float64 (Q,).
    """
    values = changes.numpy()
    if not np.isfinite(values).any():
        return []
    ordered = np.sort(values[np.isfinite(values)])
    median = int(np.flatnonzero(values == ordered[(len(ordered) - 1) // 2])[0])
    largest = int(np.nanargmax(np.abs(values)))
    selected: list[tuple[int, ChangeKind]] = [(median, "median change")]
    if largest != median:
        selected.append((largest, "largest change"))
    return [SelectedQuery(index, which, float(values[index])) for index, which in selected]


@dataclass(frozen=True)
class _Codes:
    """The packed codes of a cell's queries and of its database: uint8 (Q, B) and (M, B)."""

    score: Score
    queries: Tensor
    database: Tensor

    def precisions(self, labels: Tensor, database_labels: Tensor) -> Tensor:
        """Return the average precision of each query by some labels, under the suite's protocol: float64 (Q,)."""
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

    def of_query(self, index: int) -> _Codes:
        """Return the codes of one query, with the same database."""
        return _Codes(self.score, self.queries[index : index + 1], self.database)


class _Labels(NamedTuple):
    """Labels of the queries, of their targets, and of the database: uint8 (Q, C), (Q, C) and (M, C)."""

    query: Tensor
    target: Tensor
    database: Tensor

    def of_query(self, index: int) -> _Labels:
        """Return the labels of one query and its target, with the same database."""
        return _Labels(self.query[index : index + 1], self.target[index : index + 1], self.database)


class _QueryImages(NamedTuple):
    """The images of one query: float32 (3, H, W) in [0, 1]."""

    clean: Tensor
    attacked: Tensor
    purified: Tensor | None


@dataclass
class _ExhibitMaker:
    """Makes exhibits, and collects their distinct images with their indices."""

    plan: Plan
    store: Store
    names: NameLookup
    answers: int
    images: dict[bytes, int] = field(default_factory=dict)

    def exhibits(self, combination: Combination) -> list[Exhibit]:
        """Return the exhibits of a combination; none if its codes or images are damaged or not stored."""
        try:
            codes = [self._codes(planned) for planned in combination.cells]
            labels = self._labels(codes[0].score)
            relevant = labels.target if combination.targeted else labels.query
            clean, attacked = (each.precisions(relevant, labels.database) for each in codes[:2])
            selected = [(query, self._query_images(combination, query)) for query in select_queries(attacked - clean)]
        except ArtifactError:
            return []
        return [self._exhibit(combination, codes, labels, query, images) for query, images in selected]

    def _codes(self, planned: PlannedCell) -> _Codes:
        score = self._score(planned)
        return _Codes(score, *(self.store.get(key).tensors["codes"] for key in (score.codes, score.database)))

    def _score(self, planned: PlannedCell) -> Score:
        return cast(Score, self.plan.steps[cast(str, planned.key)])

    def _labels(self, score: Score) -> _Labels:
        targets = self.store.get(score.targets).tensors["labels"][list(score.queries.rows)]
        return _Labels(score.queries.labels(), targets, score.queries.dataset.labels("database"))

    def _query_images(self, combination: Combination, query: SelectedQuery) -> _QueryImages:
        row = range(query.position, query.position + 1)
        clean = self._score(combination.clean).queries.images(row, torch.device("cpu"))[0]
        attacked = self._stored_image(combination.attacked.attacked, query.position)
        if combination.defended is None or not combination.shares_images:
            return _QueryImages(clean, attacked, None)
        purified = self._stored_image(self._score(combination.defended).purified[0], query.position)
        return _QueryImages(clean, attacked, purified)

    def _stored_image(self, shards: Sequence[str], index: int) -> Tensor:
        """Return the image of a query from the shard that holds it."""
        parts = {key: cast(Perturb | Purify, self.plan.steps[key]).queries for key in shards}
        key, queries = next(
            (key, part) for key, part in parts.items() if part.offset <= index < part.offset + len(part)
        )
        return self.store.get(key).tensors["images"][index - queries.offset]

    def _exhibit(
        self,
        combination: Combination,
        codes: Sequence[_Codes],
        labels: _Labels,
        query: SelectedQuery,
        images: _QueryImages,
    ) -> Exhibit:
        queries = codes[0].score.queries
        hasher, attack, defense = self._printed_names(combination)
        amplified, perturbation = amplify(images.attacked - images.clean)
        behind = f"behind {defense}" if combination.shares_images else f"behind {defense}, attacked separately"
        versions = zip(("before the attack", "under attack", behind), codes, strict=False)
        query_labels = labels.of_query(query.position)
        classes = queries.dataset.facts().classes
        return Exhibit(
            dataset=self.names("dataset", combination.clean.cell.axes["dataset"]),
            hasher=hasher,
            attack=attack,
            defense=defense,
            query=queries.ids[query.position],
            which=query.which,
            change=query.change,
            classes=_class_names(query_labels.query, classes),
            target=_class_names(query_labels.target, classes) if combination.targeted else "",
            amplified=amplified,
            clean=self._image_index(images.clean),
            perturbation=self._image_index(perturbation),
            attacked=self._image_index(images.attacked),
            purified=None if images.purified is None else self._image_index(images.purified),
            rankings=tuple(
                self._ranking(label, each.of_query(query.position), query_labels, combination.targeted)
                for label, each in versions
            ),
        )

    def _ranking(self, label: str, codes: _Codes, labels: _Labels, targeted: bool) -> Ranking:
        """Return the ranking of one query; without a target, no answer is marked as wanted."""
        distances = hamming(codes.queries, codes.database)[0]
        rows = distances.argsort(stable=True)[: self.answers].tolist()
        answers = labels.database[rows]
        relevant, wanted = (((answers & each).sum(1) > 0).tolist() for each in (labels.query, labels.target))
        dataset = codes.score.queries.dataset
        hits = tuple(
            Hit(self._image_index(image / 255), int(distances[row]), relevant[at], targeted and wanted[at])
            for at, (row, image) in enumerate(zip(rows, dataset.images("database", rows), strict=True))
        )
        ap, t_ap = (float(codes.precisions(each, labels.database)) for each in (labels.query, labels.target))
        return Ranking(label, ap, t_ap, hits)

    def _printed_names(self, combination: Combination) -> tuple[str, str, str]:
        """Return the printed names of hasher, attack and defense, each with its swept options."""
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

    def _swept(self, cell: Cell, other: Cell | None = None) -> str:
        """Return the swept options of a cell in parentheses, without those of another cell."""
        known = swept_options(other.variant) if other else []
        swept = ",".join(f"{name}={value}" for name, value in swept_options(cell.variant) if (name, value) not in known)
        return f" ({self.names('variant', swept)})" if swept else ""

    def _image_index(self, image: Tensor) -> int:
        return self.images.setdefault(encode_image(image), len(self.images))


class Amplified(NamedTuple):
    """An amplified perturbation: its factor, and an image, float32 (3, H, W) in [0, 1], centered at middle gray."""

    factor: float
    image: Tensor


def amplify(perturbation: Tensor) -> Amplified:
    """Return a perturbation as an image, times the largest factor that keeps 99 % of its values in range.

    The factors are 1, 2, 5, 10, 20, 50 and 100; 1 if none keeps them in range. Values outside the range are clipped.

    Args:
        perturbation: float32 (3, H, W), the attacked image less the clean one.
    """

    def share_in_range(factor: int) -> float:
        return float((factor * perturbation.double().abs() <= 0.5).double().mean())

    factor = max((factor for factor in FACTORS if share_in_range(factor) >= IN_RANGE), default=FACTORS[0])
    return Amplified(float(factor), (0.5 + factor * perturbation).clamp(0, 1))


def encode_image(image: Tensor) -> bytes:
    """Return an image as PNG: pixel for pixel, or scaled down to 64 pixels on its longer side.

    Args:
        image: float32 (3, H, W) in [0, 1].
    """
    from PIL import Image

    picture = Image.fromarray((255 * image).round().to(torch.uint8).permute(1, 2, 0).contiguous().numpy())
    picture.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.LANCZOS)
    buffer = BytesIO()
    picture.save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


def _class_names(labels: Tensor, classes: Sequence[str]) -> str:
    return ", ".join(name for name, present in zip(classes, labels[0].tolist(), strict=True) if present)
