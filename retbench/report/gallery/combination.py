"""The cells of a plan that a gallery shows together: without attack, under attack, and behind a defense."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from retbench.contracts import Hardening
from retbench.plan import Plan, PlannedCell
from retbench.suite import Cell


class Combination(NamedTuple):
    """Cells that differ only in attack and defense: without both, without a defense, and with one if there is one."""

    clean: PlannedCell
    attacked: PlannedCell
    defended: PlannedCell | None

    @property
    def cells(self) -> list[PlannedCell]:
        """The cells in this order, without None."""
        return [planned for planned in self if planned is not None]

    @property
    def shares_images(self) -> bool:
        """Whether the defense received the same attacked images as the undefended hasher."""
        return self.defended is not None and self.defended.attacked == self.attacked.attacked

    @property
    def targeted(self) -> bool:
        """Whether the attack is targeted."""
        return self.attacked.cell.attack is not None and self.attacked.cell.attack.goal == "targeted"


def find_combinations(plan: Plan) -> Iterator[Combination]:
    """Yield the combinations of a plan's image-to-image cells, in its order: one for each attack on a hasher.

    Each uses the first seed that has it. An attack without a corresponding clean cell is left out.
    """
    cells = [planned for planned in plan.cells if planned.key is not None and planned.cell.task == "i2i"]
    seen: list[tuple[object, ...]] = []
    for attacked in cells:
        cell = attacked.cell
        attack = (cell.dataset, cell.hasher, cell.bits, *_attack(cell))
        if cell.attack is None or cell.defenses or attack in seen:
            continue
        same_hasher = [other for other in cells if _hasher(other.cell) == _hasher(cell)]
        clean = next((other for other in same_hasher if other.cell.attack is None and not other.cell.defenses), None)
        if clean is not None:
            seen.append(attack)
            yield Combination(clean, attacked, _defended(attacked, same_hasher))


def _hasher(cell: Cell) -> tuple[object, ...]:
    return (cell.dataset, cell.hasher, cell.bits, cell.seed)


def _attack(cell: Cell) -> tuple[object, ...]:
    return (cell.attack, cell.surrogate)


def _defended(attacked: PlannedCell, same_hasher: Sequence[PlannedCell]) -> PlannedCell | None:
    """Return the defended cell that is shown together with an undefended one; None if there is none.

    It is behind the last listed purifier that received the same images. Without one, it is behind the last listed
    defense, which was attacked separately: a hardened hasher, or a purifier that the attacker sees. Of a swept defense,
    the first setting is shown.
    """
    defended = [
        planned
        for planned in same_hasher
        if _attack(planned.cell) == _attack(attacked.cell)
        and (planned.purified or any(isinstance(defense, Hardening) for defense in planned.cell.defenses))
    ]
    pool = [planned for planned in defended if planned.purified and planned.attacked == attacked.attacked] or defended
    last = [planned for planned in pool if planned.cell.axes["defense"] == pool[-1].cell.axes["defense"]]
    unswept = [planned for planned in last if planned.cell.variant == attacked.cell.variant]
    return next(iter([*unswept, *last]), None)


def display_order(combinations: Sequence[Combination]) -> list[int]:
    """Return the indices of combinations, those to be shown first at the start.

    First comes the first hasher of every dataset and attack, alternating between datasets, so that a limit drops none
    of them; then the second hasher, and so on.
    """
    attacks = list(dict.fromkeys(each.attacked.cell.axes["attack"] for each in combinations))
    counts: Counter[tuple[str | int, str | int]] = Counter()
    ranks = []
    for each in combinations:
        dataset, attack = (each.attacked.cell.axes[axis] for axis in ("dataset", "attack"))
        ranks.append((counts[dataset, attack], attacks.index(attack)))
        counts[dataset, attack] += 1
    return sorted(range(len(combinations)), key=ranks.__getitem__)
