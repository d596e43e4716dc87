"""From cells to the unique steps that answer them, known before anything runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import cast

from retbench.contracts import (
    Attack,
    AttackPart,
    Component,
    Dataset,
    Facts,
    Hardening,
    Hasher,
    Part,
    Protocol,
    Purifier,
)
from retbench.contracts.attack import Need
from retbench.contracts.context import Precision
from retbench.contracts.defense import Vote
from retbench.contracts.facts import Split
from retbench.contracts.hasher import Modality
from retbench.plan.memory import Remembering, remembered
from retbench.plan.plan import Plan, PlannedCell
from retbench.plan.screening import MODALITIES, Screening, hardening_of, purifiers_of, votes_of
from retbench.stages import (
    AttackContext,
    ComputeFeatures,
    DrawTargets,
    EncodeQueries,
    EncodeSplit,
    FitAttack,
    FitAttackPart,
    FitHasher,
    FitPart,
    FitPurifier,
    Harden,
    Perturb,
    Purify,
    Queries,
    Score,
    Stage,
    States,
    Victim,
    draw_queries,
    shards_of,
)
from retbench.stages.check import breach
from retbench.stages.queries import Draws
from retbench.suite import Cell, Suite

GRANTED_SPLITS: dict[Need, Split] = {"database_codes": "database", "training_codes": "train"}
"""Which split is encoded for an attack that needs its codes."""


def make_plan(suite: Suite, cells: Sequence[Cell], precision: Precision) -> Plan:
    """Return the plan of these cells; equal steps of different cells become one."""
    planner = _Planner(suite, precision)
    planned = tuple(planner.cell(cell) for cell in cells)
    return Plan(planned, planner.steps)


class _Planner(Remembering):
    """Composes the stages of cells."""

    def __init__(self, suite: Suite, precision: Precision) -> None:
        super().__init__()
        self.protocol: Protocol = suite.protocol
        self.size, self.precision = suite.shard, precision
        self.steps: dict[str, Stage] = {}
        self.screening = Screening()

    def add(self, stage: Stage) -> str:
        """Add a step unless it is there, and returns its key."""
        return self.steps.setdefault(stage.key, stage).key

    def cell(self, cell: Cell) -> PlannedCell:
        """Return the planned cell: its steps added, or the reason it is skipped."""
        if reason := self.screening.missing(cell.dataset):
            return PlannedCell(cell, None, reason)
        facts = replace(self.facts(cell.dataset), bits=cell.bits, task=cell.task, threat=cell.threat)
        if reason := self.screening.skip_reason(cell, facts):
            return PlannedCell(cell, None, reason)
        caveats, details = self.screening.caveats(cell, facts), self.screening.details(cell, facts)
        return self.compose(cell, facts)._replace(caveats=caveats, details=details)

    def compose(self, cell: Cell, facts: Facts) -> PlannedCell:
        """Return the planned cell of what can be run: train, attack, purify, encode, score."""
        victim = self.victim(cell.hasher, hardening_of(cell), cell.dataset, cell.bits, cell.seed)
        queries = self.queries(cell.dataset)
        targets = self.targets(cell.dataset)
        attacked = self.attack(cell, facts, victim, targets) if cell.attack else ()
        draws: Draws = (attacked,)
        purified: list[str] = []
        for position, purifier in enumerate(purifiers_of(cell)):
            draws = tuple(
                self.purified(purifier, cell.dataset, source, cell.seed, position, index * purifier.copies + copy)
                for index, source in enumerate(draws)
                for copy in range(purifier.copies)
            )
            purified += [shard for shards in draws for shard in shards]
        purified = draws if all(draws) else ()
        asks, answers = MODALITIES[cell.task]
        vote: Vote = next(iter(votes_of(cell)), "mean")
        code_step = EncodeQueries(victim, cell.bits, asks, self.precision, queries, purified, vote)
        database = self.encoded(victim, cell.bits, answers, cell.dataset, "database")
        targeted = cell.attack is not None and cell.attack.goal == "targeted"
        codes = self.add(code_step)
        score = Score(queries, cell.bits, self.protocol, codes, database, targets, attacked, purified, targeted)
        return PlannedCell(cell, self.add(score), None, attacked, tuple(purified), len(queries))

    def attack(self, cell: Cell, facts: Facts, victim: Victim, targets: str) -> tuple[str, ...]:
        """Return the keys of the attacked shards of a cell: on its own hasher, or on the surrogate."""
        attack = cast(Attack, cell.attack)
        if cell.surrogate:
            victim = self.victim(cell.surrogate, None, cell.dataset, cell.bits, cell.seed)
        purifiers = purifiers_of(cell) if cell.threat == "adaptive" else ()
        # The images serve every task that asks with them, so the attacker is not told which one it is.
        facts = replace(facts, task=None, threat="adaptive" if purifiers else "oblivious")
        return self.perturbed(attack, victim, facts, purifiers, cell.dataset, targets, cell.seed)

    @remembered
    def perturbed(
        self,
        attack: Attack,
        victim: Victim,
        facts: Facts,
        purifiers: tuple[Purifier, ...],
        dataset: Dataset,
        targets: str,
        seed: int,
    ) -> tuple[str, ...]:
        """Return the keys of the attacked shards."""
        through = tuple((purifier, self.states(purifier, dataset, seed)) for purifier in purifiers)
        context = AttackContext(victim, facts, self.grants(attack, victim, facts, dataset), through)
        states = self.attack_states(attack, victim, replace(facts, threat="oblivious"), dataset, seed)
        if attack.learns:
            own = self.add(FitAttack(attack, context, states, self.queries(dataset), seed, self.precision))
            states = replace(states, own=own)
        quantize = self.protocol.quantize
        return tuple(
            self.add(Perturb(attack, context, states, shard, seed, "float32", targets, quantize))
            for shard in self.shards(dataset)
        )

    def grants(self, seeing: Attack | AttackPart, victim: Victim, facts: Facts, dataset: Dataset) -> dict[Need, str]:
        """Return the keys of the encodings that an attack, or a part of one, needs."""
        splits = ((need, split) for need, split in GRANTED_SPLITS.items() if need in seeing.needs)
        return {need: self.encoded(victim, facts.bits, "image", dataset, split) for need, split in splits}

    def attack_states(self, attack: Attack, victim: Victim, facts: Facts, dataset: Dataset, seed: int) -> States:
        """Return the trained parts of an attack; those fitted to the victim see it without purifiers."""
        keys = {}
        for role, part in attack.parts(facts).items():
            if isinstance(part, AttackPart):
                context = AttackContext(victim, facts, self.grants(part, victim, facts, dataset))
                fit = FitAttackPart(part, context, States(), self.queries(dataset), seed, self.precision)
                keys[role] = self.add(fit)
            else:
                keys[role] = self.part(part, dataset, seed)
        return States(parts=keys)

    @remembered
    def purified(
        self, purifier: Purifier, dataset: Dataset, sources: tuple[str, ...], seed: int, position: int, copy: int
    ) -> tuple[str, ...]:
        """Return the keys of one copy of purified shards: of attacked or purified ones, or of the clean queries."""
        facts = self.facts(dataset)
        states, shards = self.states(purifier, dataset, seed), self.shards(dataset)
        how = (seed, self.protocol.quantize, self.precision, position, copy)
        pairs = zip(shards, sources or [None] * len(shards), strict=True)
        return tuple(self.add(Purify(purifier, states, facts, shard, source, *how)) for shard, source in pairs)

    @remembered
    def victim(self, hasher: Hasher, hardening: Hardening | None, dataset: Dataset, bits: int, seed: int) -> Victim:
        """Return a trained hasher, hardened where the cell says so."""
        facts = replace(self.facts(dataset), bits=bits)
        states, features = self.part_states(hasher, dataset, seed), self.features(hasher, dataset, seed, "train")
        fit = FitHasher(hasher, dataset, facts, seed, self.precision, states, features)
        victim = Victim(hasher, self.add(fit), seed)
        if hardening is None:
            return victim
        states = self.part_states(hardening, dataset, seed)
        harden = Harden(hardening, dataset, facts, seed, self.precision, states, victim)
        return Victim(hasher, self.add(harden))

    @remembered
    def encoded(self, victim: Victim, bits: int, modality: Modality, dataset: Dataset, split: Split) -> str:
        """Return the key of a split encoded by a trained hasher."""
        stored = modality == "image" and victim.part_seed is not None
        features = self.features(victim.hasher, dataset, victim.part_seed or 0, split) if stored else ()
        return self.add(EncodeSplit(victim, bits, modality, self.precision, dataset, split, features))

    @remembered
    def features(self, hasher: Hasher, dataset: Dataset, seed: int, split: Split) -> tuple[str, ...]:
        """Return the keys of a split's features by the part that a hasher leaves as it is; none if it has no such."""
        if hasher.cached is None:
            return ()
        facts = self.facts(dataset)
        part = hasher.parts(facts).get(hasher.cached)
        if not isinstance(part, Part):
            raise breach(hasher, f"cached must be the role of a part: got {hasher.cached!r}")
        state, shards = States(self.part(part, dataset, seed)), shards_of(facts.sizes[split])
        return tuple(
            self.add(ComputeFeatures(part, state, dataset, facts, split, rows, self.precision)) for rows in shards
        )

    @remembered
    def states(self, purifier: Purifier, dataset: Dataset, seed: int) -> States:
        """Return what a purifier works with: its parts, and its own fit if it has one."""
        states = self.part_states(purifier, dataset, seed)
        if not purifier.learns:
            return states
        fit = FitPurifier(purifier, dataset, self.facts(dataset), seed, self.precision, states)
        return replace(states, own=self.add(fit))

    @remembered
    def part_states(self, owner: Component, dataset: Dataset, seed: int) -> States:
        """Return the trained parts of a component; equal parts of different owners are one step."""
        parts = owner.parts(self.facts(dataset))
        return States(parts={role: self.part(part, dataset, seed) for role, part in parts.items()})

    @remembered
    def part(self, part: Part | AttackPart, dataset: Dataset, seed: int) -> str:
        """Return the key of a trained part."""
        if isinstance(part, AttackPart):
            raise breach(part, "only an attack may own a part that is trained against the attacked hasher")
        return self.add(FitPart(part, dataset, self.facts(dataset), seed, self.precision, States()))

    @remembered
    def targets(self, dataset: Dataset) -> str:
        """Return the key of the draw that every attack and defense on a dataset shares."""
        draw = DrawTargets(dataset, self.protocol.targets)
        draw.check()
        return self.add(draw)

    @remembered
    def facts(self, dataset: Dataset) -> Facts:
        """Return a dataset's facts."""
        return dataset.facts()

    @remembered
    def queries(self, dataset: Dataset) -> Queries:
        """Return the queries that the protocol draws from a dataset."""
        return draw_queries(dataset, self.protocol.queries)

    @remembered
    def shards(self, dataset: Dataset) -> list[Queries]:
        """Return those queries in resumable pieces."""
        return list(self.queries(dataset).shards(self.size))
