"""Which cells can run at all, and what a reader must know of those that can."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from retbench.canon import Json
from retbench.contracts import Component, Dataset, Facts, Hardening, Purifier, Weights
from retbench.contracts.defense import Vote
from retbench.contracts.hasher import Modality
from retbench.plan.memory import Remembering, remembered
from retbench.suite import Cell

MODALITIES: dict[str, tuple[Modality, Modality]] = {
    "i2i": ("image", "image"),
    "i2t": ("image", "text"),
    "t2i": ("text", "image"),
    "t2t": ("text", "text"),
}
"""What queries and what answers, by task."""


class Screening(Remembering):
    """Asks every component of a cell, and its parts, whether they can work there."""

    @remembered
    def missing(self, dataset: Dataset) -> str | None:
        """Return why a dataset cannot be read, or None."""
        return dataset.missing()

    def skip_reason(self, cell: Cell, facts: Facts) -> str | None:
        """Return the first reason that a cell cannot run, or None."""
        asks, answers = MODALITIES[cell.task]
        if "text" in (asks, answers) and not facts.text_width:
            return f"task {cell.task} needs texts; dataset {cell.dataset.name} has none"
        if lacking := {asks, answers} - cell.hasher.modalities:
            return f"task {cell.task}: hasher {cell.hasher.name} does not encode {' and '.join(sorted(lacking))}"
        if asks == "text" and (pixels := [c.name for c in (cell.attack, *purifiers_of(cell)) if c]):
            return f"task {cell.task} asks with texts; {' and '.join(pixels)} works on images"
        if (hardening := hardening_of(cell)) and hardening.needs_loss and not cell.hasher.supervised:
            return (
                f"{hardening.name} trains with the hasher's own loss on labels, which {cell.hasher.name} does not offer"
            )
        if cell.surrogate and not cell.attack:
            return "a surrogate is attacked: this cell has no attack"
        if len(votes := votes_of(cell)) > 1:
            return f"copies of its purifiers vote in different ways: got {' and '.join(votes)}, expected one"
        reasons = (self.reason(component, facts) for component in components_of(cell))
        return next((reason for reason in reasons if reason), None) or _blind(cell)

    def caveats(self, cell: Cell, facts: Facts) -> tuple[str, ...]:
        """Return what a reader must know of a cell's numbers, each component's caveats led by its name."""
        told = (self.warnings(component, facts) for component in (cell.dataset, *components_of(cell)))
        return tuple(dict.fromkeys(caveat for caveats in told for caveat in caveats))

    def details(self, cell: Cell, facts: Facts) -> dict[str, Json]:
        """Return what the components of a cell record beside their options, by component."""
        told = ((str(component), self.recorded(component, facts)) for component in components_of(cell))
        return {name: dict(details) for name, details in told if details}

    def downloads(self, cell: Cell, facts: Facts) -> dict[Weights, str]:
        """Return the published weight files of a cell, each with the name of a component that starts from it."""
        named = ((name, piece) for component in components_of(cell) for name, piece in _pieces(component, facts))
        return {weights: name for name, piece in named for weights in piece.downloads(facts)}

    @remembered
    def reason(self, component: Component, facts: Facts) -> str | None:
        """Return why a component, or one of its parts, cannot work with these facts, or None."""
        return next(
            (f"{name}: {why}" for name, piece in _pieces(component, facts) if (why := _lack(piece, facts))), None
        )

    @remembered
    def warnings(self, component: Component, facts: Facts) -> tuple[str, ...]:
        """Return the caveats of a component and its parts."""
        return tuple(f"{name}: {told}" for name, piece in _pieces(component, facts) for told in piece.caveats(facts))

    @remembered
    def recorded(self, component: Component, facts: Facts) -> Mapping[str, Json]:
        """Return what a component records beside its options."""
        return component.details(facts)


def components_of(cell: Cell) -> Iterator[Component]:
    """Yield what a cell puts to work on its dataset."""
    every = (cell.hasher, cell.surrogate, cell.attack, *cell.defenses)
    yield from (component for component in every if component is not None)


def hardening_of(cell: Cell) -> Hardening | None:
    """Return a cell's hardening, if it has one."""
    return next((defense for defense in cell.defenses if isinstance(defense, Hardening)), None)


def purifiers_of(cell: Cell) -> tuple[Purifier, ...]:
    """Return a cell's purifiers, in order."""
    return tuple(defense for defense in cell.defenses if isinstance(defense, Purifier))


def votes_of(cell: Cell) -> tuple[Vote, ...]:
    """Return how the codes of copies become one, by the purifiers that make copies; each way once."""
    return tuple(dict.fromkeys(purifier.vote for purifier in purifiers_of(cell) if purifier.copies > 1))


def _pieces(component: Component, facts: Facts) -> Iterator[tuple[str, Component]]:
    yield str(component), component
    yield from ((f"{part} of {component}", part) for part in component.parts(facts).values())


def _lack(component: Component, facts: Facts) -> str | None:
    """Return why a component cannot work: a published weight file that cannot be read, or its own reason."""
    for weights in component.downloads(facts):
        if problem := weights.problem():
            how = "get them with `retbench weights prepare SUITE`" if weights.sha256 else weights.manual_steps
            return f"its weights are {problem}; {how}"
    return component.supports(facts)


def _blind(cell: Cell) -> str | None:
    """Return why an adaptive attacker cannot look through the cell's purifiers, or None."""
    if cell.attack and cell.threat == "adaptive" and purifiers_of(cell) and not cell.attack.adaptive:
        return f"threat adaptive: {cell.attack.name} asks the hasher in its training alone, without purifiers in front"
    opaque = [purifier.name for purifier in purifiers_of(cell) if not purifier.differentiable]
    if cell.attack and cell.threat == "adaptive" and opaque:
        return f"threat adaptive needs gradients, which {', '.join(opaque)} does not pass"
    return None
