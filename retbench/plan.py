"""From cells to the unique steps that answer them, known before anything runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import wraps
from typing import Any, NamedTuple, TypeVar, cast

from retbench.contracts import Attack, Component, Dataset, Facts, Hardening, Hasher, Protocol, Purifier
from retbench.contracts.attack import Need
from retbench.contracts.context import Precision
from retbench.contracts.facts import Split
from retbench.contracts.hasher import Modality
from retbench.stages import (
    DrawTargets,
    EncodeQueries,
    EncodeSplit,
    FitAttack,
    FitHasher,
    FitPart,
    FitPurifier,
    Harden,
    Perturb,
    Purify,
    Queries,
    Score,
    Sight,
    Stage,
    States,
    Victim,
    draw_queries,
)
from retbench.suite import Cell, Suite

MODALITIES: dict[str, tuple[Modality, Modality]] = {
    "i2i": ("image", "image"),
    "i2t": ("image", "text"),
    "t2i": ("text", "image"),
    "t2t": ("text", "text"),
}
"""What queries and what answers, by task."""
GRANTED_SPLITS: dict[Need, Split] = {"database_codes": "database", "training_codes": "train"}
"""Which split is encoded for an attack that needs its codes."""


class PlannedCell(NamedTuple):
    """A cell with the key of its score, or the reason it is skipped.

    Attributes:
        attacked, purified: keys of the shards whose cost is the attack's and the defense's.
        queries: how many queries it ranks.
    """

    cell: Cell
    key: str | None
    reason: str | None = None
    attacked: tuple[str, ...] = ()
    purified: tuple[str, ...] = ()
    queries: int = 0


@dataclass(frozen=True)
class Plan:
    """Unique steps in runnable order, and the cells they answer."""

    cells: tuple[PlannedCell, ...]
    steps: dict[str, Stage] = field(default_factory=dict)

    def counts(self) -> Counter[str]:
        """Returns how many steps each stage has, in the order they first run."""
        return Counter(stage.name for stage in self.steps.values())

    def ancestry(self, key: str) -> Iterator[str]:
        """Yields the keys of a step's inputs, theirs before them, and the step itself last; each once."""
        seen: set[str] = set()

        def walk(at: str) -> Iterator[str]:
            if at not in seen and at in self.steps:
                seen.add(at)
                for upstream in self.steps[at].inputs:
                    yield from walk(upstream)
                yield at

        yield from walk(key)


def make_plan(suite: Suite, cells: Sequence[Cell], precision: Precision) -> Plan:
    """Returns the plan of these cells; equal steps of different cells become one."""
    planner = _Planner(suite, precision)
    planned = tuple(planner.cell(cell) for cell in cells)
    return Plan(planned, planner.steps)


M = TypeVar("M", bound=Callable[..., Any])


def _remembered(method: M) -> M:
    """Returns a method that answers equal questions from memory: most cells share most of their steps."""

    @wraps(method)
    def answer(self: _Planner, *question: Any) -> Any:
        key = (method.__name__, *question)
        if key not in self.memory:
            self.memory[key] = method(self, *question)
        return self.memory[key]

    return cast(M, answer)


class _Planner:
    """Composes the stages of cells."""

    def __init__(self, suite: Suite, precision: Precision) -> None:
        self.protocol: Protocol = suite.protocol
        self.size, self.precision = suite.shard, precision
        self.steps: dict[str, Stage] = {}
        self.memory: dict[tuple[Any, ...], Any] = {}

    def add(self, stage: Stage) -> str:
        """Adds a step unless it is there, and returns its key."""
        return self.steps.setdefault(stage.key, stage).key

    def cell(self, cell: Cell) -> PlannedCell:
        """Returns the planned cell: its steps added, or the reason it is skipped."""
        if reason := self.missing(cell.dataset):
            return PlannedCell(cell, None, reason)
        facts = replace(self.facts(cell.dataset), bits=cell.bits, task=cell.task, visibility=cell.visibility)
        if reason := self.skip_reason(cell, facts):
            return PlannedCell(cell, None, reason)
        return self.compose(cell, facts)

    def compose(self, cell: Cell, facts: Facts) -> PlannedCell:
        """Returns the planned cell of what can be run: train, attack, purify, encode, score."""
        hardening, purifiers = _split(cell)
        victim = self.victim(cell.hasher, hardening, cell.dataset, cell.bits, cell.seed)
        queries = self.queries(cell.dataset)
        targets = self.targets(cell.dataset)
        attacked = self.attack(cell, facts, victim, targets) if cell.attack else ()
        final, purified = attacked, list[str]()
        for position, purifier in enumerate(purifiers):
            final = self.purified(purifier, cell.dataset, final, cell.seed, position)
            purified += final
        asks, answers = MODALITIES[cell.task]
        code_step = EncodeQueries(victim, cell.bits, asks, self.precision, queries, final)
        database = self.encoded(victim, cell.bits, answers, cell.dataset, "database")
        score = Score(queries, cell.bits, self.protocol, self.add(code_step), database, targets, attacked, final)
        return PlannedCell(cell, self.add(score), None, attacked, tuple(purified), len(queries))

    def attack(self, cell: Cell, facts: Facts, victim: Victim, targets: str) -> tuple[str, ...]:
        """Returns the keys of the attacked shards of a cell: on its own hasher, or on the surrogate."""
        attack = cast(Attack, cell.attack)
        if cell.surrogate:
            victim = self.victim(cell.surrogate, None, cell.dataset, cell.bits, cell.seed)
        _, purifiers = _split(cell)
        front = purifiers if cell.visibility == "adaptive" else ()
        # The images serve every task that asks with them, so the attacker is not told which one it is.
        facts = replace(facts, task=None, visibility="adaptive" if front else "oblivious")
        return self.perturbed(attack, victim, facts, front, cell.dataset, targets, cell.seed)

    @_remembered
    def perturbed(
        self,
        attack: Attack,
        victim: Victim,
        facts: Facts,
        front: tuple[Purifier, ...],
        dataset: Dataset,
        targets: str,
        seed: int,
    ) -> tuple[str, ...]:
        """Returns the keys of the attacked shards."""
        grants: dict[Need, str] = {}
        for need, split in GRANTED_SPLITS.items():
            if need in attack.needs:
                grants[need] = self.encoded(victim, facts.bits, "image", dataset, split)
        through = tuple((purifier, self.states(purifier, dataset, seed)) for purifier in front)
        sight = Sight(victim, facts, grants, through)
        states = self.part_states(attack, dataset, seed)
        if type(attack).fit is not Attack.fit:
            own = self.add(FitAttack(attack, sight, states, self.queries(dataset), seed, self.precision))
            states = replace(states, own=own)
        quantise = self.protocol.quantise
        return tuple(
            self.add(Perturb(attack, sight, states, shard, seed, "float32", targets, quantise))
            for shard in self.shards(dataset)
        )

    @_remembered
    def purified(
        self, purifier: Purifier, dataset: Dataset, sources: tuple[str, ...], seed: int, position: int
    ) -> tuple[str, ...]:
        """Returns the keys of the purified shards: of attacked or purified ones, or of the clean queries."""
        facts = self.facts(dataset)
        states, shards = self.states(purifier, dataset, seed), self.shards(dataset)
        how = (seed, self.protocol.quantise, self.precision, position)
        pairs = zip(shards, sources or [None] * len(shards), strict=True)
        return tuple(self.add(Purify(purifier, states, facts, shard, source, *how)) for shard, source in pairs)

    @_remembered
    def victim(self, hasher: Hasher, hardening: Hardening | None, dataset: Dataset, bits: int, seed: int) -> Victim:
        """Returns a trained hasher, hardened where the cell says so."""
        facts = replace(self.facts(dataset), bits=bits)
        states = self.part_states(hasher, dataset, seed)
        victim = Victim(hasher, self.add(FitHasher(hasher, dataset, facts, seed, self.precision, states)))
        if hardening is None:
            return victim
        states = self.part_states(hardening, dataset, seed)
        harden = Harden(hardening, dataset, facts, seed, self.precision, states, victim)
        return Victim(hasher, self.add(harden))

    @_remembered
    def encoded(self, victim: Victim, bits: int, modality: Modality, dataset: Dataset, split: Split) -> str:
        """Returns the key of a split encoded by a trained hasher."""
        return self.add(EncodeSplit(victim, bits, modality, self.precision, dataset, split))

    @_remembered
    def states(self, purifier: Purifier, dataset: Dataset, seed: int) -> States:
        """Returns what a purifier works with: its parts, and its own fit if it has one."""
        states = self.part_states(purifier, dataset, seed)
        if type(purifier).fit is Purifier.fit:
            return states
        fit = FitPurifier(purifier, dataset, self.facts(dataset), seed, self.precision, states)
        return replace(states, own=self.add(fit))

    @_remembered
    def part_states(self, owner: Component, dataset: Dataset, seed: int) -> States:
        """Returns the trained parts of a component; equal parts of different owners are one step."""
        facts = self.facts(dataset)
        parts = owner.parts(facts)
        fits = {role: FitPart(part, dataset, facts, seed, self.precision, States()) for role, part in parts.items()}
        return States(parts={role: self.add(fit) for role, fit in fits.items()})

    @_remembered
    def targets(self, dataset: Dataset) -> str:
        """Returns the key of the draw that every attack and defense on a dataset shares."""
        return self.add(DrawTargets(dataset, self.protocol.targets))

    @_remembered
    def facts(self, dataset: Dataset) -> Facts:
        """Returns a dataset's facts."""
        return dataset.facts()

    @_remembered
    def queries(self, dataset: Dataset) -> Queries:
        """Returns the queries that the protocol draws from a dataset."""
        return draw_queries(dataset, self.protocol.queries)

    @_remembered
    def shards(self, dataset: Dataset) -> list[Queries]:
        """Returns those queries in resumable pieces."""
        return list(self.queries(dataset).shards(self.size))

    @_remembered
    def missing(self, dataset: Dataset) -> str | None:
        """Returns why a dataset cannot be read, or None."""
        return dataset.missing()

    def skip_reason(self, cell: Cell, facts: Facts) -> str | None:
        """Returns the first reason that a cell cannot run, or None."""
        asks, answers = MODALITIES[cell.task]
        if "text" in (asks, answers) and not facts.text_width:
            return f"task {cell.task} needs texts; dataset {cell.dataset.name} has none"
        if lacking := {asks, answers} - cell.hasher.modalities:
            return f"task {cell.task}: hasher {cell.hasher.name} does not encode {' and '.join(sorted(lacking))}"
        if asks == "text" and (pixels := [c.name for c in (cell.attack, *_split(cell)[1]) if c]):
            return f"task {cell.task} asks with texts; {' and '.join(pixels)} works on images"
        if cell.surrogate and not cell.attack:
            return "a surrogate is attacked: this cell has no attack"
        components = (cell.hasher, cell.surrogate, cell.attack, *cell.defenses)
        reasons = (self.reason(component, facts) for component in components if component is not None)
        return next((reason for reason in reasons if reason), None) or _blind(cell)

    @_remembered
    def reason(self, component: Component, facts: Facts) -> str | None:
        """Returns why a component, or one of its parts, cannot work with these facts, or None."""
        if reason := component.supports(facts):
            return f"{component}: {reason}"
        parts = component.parts(facts).values()
        return next((f"{part} of {component}: {why}" for part in parts if (why := part.supports(facts))), None)


def _split(cell: Cell) -> tuple[Hardening | None, tuple[Purifier, ...]]:
    """Returns a cell's hardening, if it has one, and its purifiers in order."""
    hardening = next((defense for defense in cell.defenses if isinstance(defense, Hardening)), None)
    return hardening, tuple(defense for defense in cell.defenses if isinstance(defense, Purifier))


def _blind(cell: Cell) -> str | None:
    """Returns why an adaptive attacker cannot look through the cell's purifiers, or None."""
    opaque = [purifier.name for purifier in _split(cell)[1] if not purifier.differentiable]
    if cell.attack and cell.visibility == "adaptive" and opaque:
        return f"threat adaptive needs gradients, which {', '.join(opaque)} does not pass"
    return None
