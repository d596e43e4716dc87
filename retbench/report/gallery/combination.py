"""Which cells of a plan are put side by side in a gallery: without attack, under it, and behind a defense."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from retbench.contracts import Hardening
from retbench.plan import Plan, PlannedCell
from retbench.suite import Cell


class Combination(NamedTuple):
    """Cells that differ in attack and defense alone: without both, without a defense, and with one if there is."""

    clean: PlannedCell
    attacked: PlannedCell
    defended: PlannedCell | None

    @property
    def cells(self) -> list[PlannedCell]:
        """Those that there are, in this order."""
        return [planned for planned in self if planned is not None]

    @property
    def shares_images(self) -> bool:
        """Whether the defense was given the attacked images that the undefended hasher was."""
        return self.defended is not None and self.defended.attacked == self.attacked.attacked

    @property
    def targeted(self) -> bool:
        """Whether the attacker wants the answers of a target."""
        return self.attacked.cell.attack is not None and self.attacked.cell.attack.goal == "targeted"


def find_combinations(plan: Plan) -> Iterator[Combination]:
    """Yield the combinations of a plan's image-to-image cells, in its order: one for each attack on a hasher.

    Each is of the first seed that has it. An attack without a clean cell beside it has none.
    """
    cells = [planned for planned in plan.cells if planned.key is not None and planned.cell.task == "i2i"]
    seen: list[tuple[object, ...]] = []
    for attacked in cells:
        cell = attacked.cell
        attack = (cell.dataset, cell.hasher, cell.bits, *_threat(cell))
        if cell.attack is None or cell.defenses or attack in seen:
            continue
        beside = [other for other in cells if _setting(other.cell) == _setting(cell)]
        clean = next((other for other in beside if other.cell.attack is None and not other.cell.defenses), None)
        if clean is not None:
            seen.append(attack)
            yield Combination(clean, attacked, _defended(attacked, beside))


def _setting(cell: Cell) -> tuple[object, ...]:
    return (cell.dataset, cell.hasher, cell.bits, cell.seed)


def _threat(cell: Cell) -> tuple[object, ...]:
    return (cell.attack, cell.surrogate)


def _defended(attacked: PlannedCell, beside: Sequence[PlannedCell]) -> PlannedCell | None:
    """Return the defended cell that is shown beside an undefended one, or None where there is none.

    It is behind the purifier named last that was given the same images, else behind the defense named last, which was
    attacked by images of its own: a hardened hasher, or a purifier that the attacker sees. Of a swept defense it is the
    first setting.
    """
    defended = [
        planned
        for planned in beside
        if _threat(planned.cell) == _threat(attacked.cell)
        and (planned.purified or any(isinstance(defense, Hardening) for defense in planned.cell.defenses))
    ]
    pool = [planned for planned in defended if planned.purified and planned.attacked == attacked.attacked] or defended
    last = [planned for planned in pool if planned.cell.axes["defense"] == pool[-1].cell.axes["defense"]]
    unswept = [planned for planned in last if planned.cell.variant == attacked.cell.variant]
    return next(iter([*unswept, *last]), None)


def spread(combinations: Sequence[Combination]) -> list[int]:
    """Return the places of combinations, the most telling first.

    First comes the first hasher of every dataset and attack, the datasets in turn, so that a cut drops none of them;
    then the second, and so on.
    """
    attacks = list(dict.fromkeys(each.attacked.cell.axes["attack"] for each in combinations))
    before: Counter[tuple[str | int, str | int]] = Counter()
    ranks = []
    for each in combinations:
        dataset, attack = (each.attacked.cell.axes[axis] for axis in ("dataset", "attack"))
        ranks.append((before[dataset, attack], attacks.index(attack)))
        before[dataset, attack] += 1
    return sorted(range(len(combinations)), key=ranks.__getitem__)
