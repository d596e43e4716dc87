"""Compose the steps of every cell; equal steps of several cells become one."""

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
from retbench.contracts.dataset import forget_fingerprints
from retbench.contracts.defense import Vote
from retbench.contracts.facts import Split
from retbench.contracts.hasher import Modality
from retbench.contracts.tensors import contract_breach
from retbench.plan.caching import cached_method
from retbench.plan.declarations import DeclarationCheck
from retbench.plan.plan import Plan, PlannedCell
from retbench.plan.screening import MODALITIES, Screening, components_of, hardening_of, purifiers_of, votes_of
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
    StateKeys,
    Victim,
    draw_queries,
    shard_rows,
)
from retbench.stages.queries import ShardsPerCopy
from retbench.suite import Cell, Suite
from retbench.survey import list_first

CODE_SPLITS: dict[Need, Split] = {"database_codes": "database", "training_codes": "train"}
"""The split to encode for each need that grants codes."""


def make_plan(suite: Suite, cells: Sequence[Cell], precision: Precision) -> Plan:
    """Return the plan of these cells; equal steps of several cells become one."""
    forget_fingerprints()
    planner = _Planner(suite, precision)
    planned = tuple(planner.plan_cell(cell) for cell in cells)
    return Plan(planned, planner.steps)


class _Planner:
    """Adds the steps of one cell after the other; its methods return the keys of the steps."""

    def __init__(self, suite: Suite, precision: Precision) -> None:
        self.protocol: Protocol = suite.protocol
        self.shard_size, self.precision = suite.shard, precision
        self.steps: dict[str, Stage] = {}
        self.screening = Screening()
        self.declarations = DeclarationCheck()

    def add(self, stage: Stage) -> str:
        """Add a step unless the plan has it, and return its key."""
        return self.steps.setdefault(stage.key, stage).key

    def plan_cell(self, cell: Cell) -> PlannedCell:
        """Return the planned cell after adding its steps, or with the reason that it is skipped or has failed.

        Raises:
            ContractBreach: a component declares something that its contract does not allow.
        """
        if cell.attack:
            self.declarations.check_threat(cell.attack)
        dataset = self.screening.inspect(cell.dataset)
        if dataset.missing is not None or dataset.error is not None:
            return PlannedCell(cell, None, dataset.missing or dataset.error, failed=dataset.missing is None)
        facts = replace(self.facts(cell.dataset), bits=cell.bits, task=cell.task, threat=cell.threat)
        if reason := self.screening.skip_reason(cell, facts):
            return PlannedCell(cell, None, reason)
        for component in components_of(cell):
            self.declarations.check(component, facts)
        caveats, details = self.screening.caveats(cell, facts), self.screening.details(cell, facts)
        if problem := self.find_untargeted(cell.dataset):
            if cell.attack and cell.attack.goal == "targeted":
                advice = "try another rule (protocol.targets.rule), or leave out the targeted attacks"
                return PlannedCell(cell, None, f"{problem}; {advice}", failed=True)
            caveats = (*caveats, f"{problem}, which T-MAP leaves out")
        return self.plan_steps(cell, facts)._replace(caveats=caveats, details=details)

    def plan_steps(self, cell: Cell, facts: Facts) -> PlannedCell:
        """Return the planned cell of a runnable cell: train, attack, purify, encode, score."""
        victim = self.train_hasher(cell.hasher, hardening_of(cell), cell.dataset, cell.bits, cell.seed)
        queries = self.queries(cell.dataset)
        targets = self.draw_targets(cell.dataset)
        attacked = self.attack(cell, facts, victim, targets) if cell.attack else ()
        copies: ShardsPerCopy = (attacked,)
        purified: list[str] = []
        for position, purifier in enumerate(purifiers_of(cell)):
            copies = tuple(
                self.purify(purifier, cell.dataset, sources, cell.seed, position, index * purifier.copies + copy)
                for index, sources in enumerate(copies)
                for copy in range(purifier.copies)
            )
            purified += [shard for shards in copies for shard in shards]
        changed = copies if all(copies) else ()
        query_modality, database_modality = MODALITIES[cell.task]
        vote: Vote = next(iter(votes_of(cell)), "mean")
        encoding = EncodeQueries(victim, cell.bits, query_modality, self.precision, queries, changed, vote)
        database = self.encode_split(victim, cell.bits, database_modality, cell.dataset, "database")
        targeted = cell.attack is not None and cell.attack.goal == "targeted"
        codes = self.add(encoding)
        score = Score(queries, cell.bits, self.protocol, codes, database, targets, attacked, changed, targeted)
        return PlannedCell(cell, self.add(score), attacked=attacked, purified=tuple(purified), queries=len(queries))

    def attack(self, cell: Cell, facts: Facts, victim: Victim, targets: str) -> tuple[str, ...]:
        """Return the keys of the attacked shards of a cell, which attacks its own hasher or the surrogate."""
        attack = cast(Attack, cell.attack)
        if cell.surrogate:
            victim = self.train_hasher(cell.surrogate, None, cell.dataset, cell.bits, cell.seed)
        purifiers = purifiers_of(cell) if cell.threat == "adaptive" else ()
        # All tasks with image queries share the attacked images, so the facts of the attacker have no task.
        facts = replace(facts, task=None, threat="adaptive" if purifiers else "oblivious")
        return self.perturb(attack, victim, facts, purifiers, cell.dataset, targets, cell.seed)

    @cached_method
    def perturb(
        self,
        attack: Attack,
        victim: Victim,
        facts: Facts,
        purifiers: tuple[Purifier, ...],
        dataset: Dataset,
        targets: str,
        seed: int,
    ) -> tuple[str, ...]:
        """Return the keys of the attacked shards; `purifiers` are those in view of the attacker."""
        with_states = tuple((purifier, self.fit_purifier(purifier, dataset, seed)) for purifier in purifiers)
        context = AttackContext(victim, facts, self.encode_needs(attack, victim, facts, dataset), with_states)
        states = self.fit_attack_parts(attack, victim, replace(facts, threat="oblivious"), dataset, seed)
        if attack.learns:
            own = self.add(FitAttack(attack, context, states, self.queries(dataset), seed, self.precision))
            states = replace(states, own=own)
        quantize = self.protocol.quantize
        return tuple(
            self.add(Perturb(attack, context, states, shard, seed, "float32", targets, quantize))
            for shard in self.shards(dataset)
        )

    def encode_needs(
        self, attack: Attack | AttackPart, victim: Victim, facts: Facts, dataset: Dataset
    ) -> dict[Need, str]:
        """Return the keys of the encodings that an attack, or a part of one, needs."""
        splits = ((need, split) for need, split in CODE_SPLITS.items() if need in attack.needs)
        return {need: self.encode_split(victim, facts.bits, "image", dataset, split) for need, split in splits}

    def fit_attack_parts(self, attack: Attack, victim: Victim, facts: Facts, dataset: Dataset, seed: int) -> StateKeys:
        """Return the trained parts of an attack; parts that are fitted to the victim never use its purifiers."""
        keys = {}
        for role, part in attack.parts(facts).items():
            if isinstance(part, AttackPart):
                context = AttackContext(victim, facts, self.encode_needs(part, victim, facts, dataset))
                queries, access = self.queries(dataset), attack.access
                fit = FitAttackPart(part, context, StateKeys(), queries, seed, self.precision, access)
                keys[role] = self.add(fit)
            else:
                keys[role] = self.fit_part(part, dataset, seed)
        return StateKeys(parts=keys)

    @cached_method
    def purify(
        self, purifier: Purifier, dataset: Dataset, sources: tuple[str, ...], seed: int, position: int, copy: int
    ) -> tuple[str, ...]:
        """Return the keys of one copy of purified shards, of `sources` or without any of the clean queries."""
        states, shards = self.fit_purifier(purifier, dataset, seed), self.shards(dataset)
        pairs = zip(shards, sources or [None] * len(shards), strict=True)
        return tuple(
            self.add(
                Purify(
                    purifier=purifier,
                    states=states,
                    facts=self.facts(dataset),
                    queries=shard,
                    source=source,
                    seed=seed,
                    quantize=self.protocol.quantize,
                    precision=self.precision,
                    position=position,
                    copy=copy,
                )
            )
            for shard, source in pairs
        )

    @cached_method
    def train_hasher(
        self, hasher: Hasher, hardening: Hardening | None, dataset: Dataset, bits: int, seed: int
    ) -> Victim:
        """Return a trained hasher, hardened where a hardening is given."""
        facts = replace(self.facts(dataset), bits=bits)
        states, features = self.fit_parts(hasher, dataset, seed), self.compute_features(hasher, dataset, seed, "train")
        fit = FitHasher(hasher, dataset, facts, seed, self.precision, states, features)
        victim = Victim(hasher, self.add(fit), seed)
        if hardening is None:
            return victim
        states = self.fit_parts(hardening, dataset, seed)
        harden = Harden(hardening, dataset, facts, seed, self.precision, states, victim)
        return Victim(hasher, self.add(harden))

    @cached_method
    def encode_split(self, victim: Victim, bits: int, modality: Modality, dataset: Dataset, split: Split) -> str:
        """Return the key of a split encoded by a trained hasher."""
        stored = modality == "image" and victim.part_seed is not None
        features = self.compute_features(victim.hasher, dataset, victim.part_seed or 0, split) if stored else ()
        return self.add(EncodeSplit(victim, bits, modality, self.precision, dataset, split, features))

    @cached_method
    def compute_features(self, hasher: Hasher, dataset: Dataset, seed: int, split: Split) -> tuple[str, ...]:
        """Return the keys of a split's features by the cached part of a hasher; empty without a cached part."""
        if hasher.cached is None:
            return ()
        facts = self.facts(dataset)
        part = cast(Part, hasher.parts(facts)[hasher.cached])
        state, shards = StateKeys(self.fit_part(part, dataset, seed)), shard_rows(facts.sizes[split])
        return tuple(
            self.add(ComputeFeatures(part, state, dataset, facts, split, rows, self.precision)) for rows in shards
        )

    @cached_method
    def fit_purifier(self, purifier: Purifier, dataset: Dataset, seed: int) -> StateKeys:
        """Return the trained states of a purifier: its parts, and its own fit if it learns."""
        states = self.fit_parts(purifier, dataset, seed)
        if not purifier.learns:
            return states
        fit = FitPurifier(purifier, dataset, self.facts(dataset), seed, self.precision, states)
        return replace(states, own=self.add(fit))

    @cached_method
    def fit_parts(self, owner: Component, dataset: Dataset, seed: int) -> StateKeys:
        """Return the trained parts of a component; equal parts of several owners are one step."""
        parts = owner.parts(self.facts(dataset))
        return StateKeys(parts={role: self.fit_part(part, dataset, seed) for role, part in parts.items()})

    @cached_method
    def fit_part(self, part: Part | AttackPart, dataset: Dataset, seed: int) -> str:
        """Return the key of a trained part."""
        if isinstance(part, AttackPart):
            raise contract_breach(part, "only an attack may own a part that is trained against the attacked hasher")
        return self.add(FitPart(part, dataset, self.facts(dataset), seed, self.precision, StateKeys()))

    @cached_method
    def draw_targets(self, dataset: Dataset) -> str:
        """Return the key of the targets, which all attacks and defenses on a dataset share."""
        draw = DrawTargets(dataset, self.protocol.targets)
        draw.check()
        return self.add(draw)

    @cached_method
    def find_untargeted(self, dataset: Dataset) -> str | None:
        """Return how many and which sampled queries the rule leaves without a target; None if every one has some."""
        rule, queries = self.protocol.targets, self.queries(dataset)
        if not (missing := DrawTargets(dataset, rule).find_untargeted(queries.rows)):
            return None
        counts = f"{len(missing)} of {len(queries)} queries ({list_first(missing)})"
        return f"targets of {dataset.name}: rule {rule.rule} above {rule.above} leaves no target for {counts}"

    @cached_method
    def facts(self, dataset: Dataset) -> Facts:
        """Return the facts of a dataset."""
        return dataset.facts()

    @cached_method
    def queries(self, dataset: Dataset) -> Queries:
        """Return the queries that the protocol samples from a dataset."""
        return draw_queries(dataset, self.protocol.queries)

    @cached_method
    def shards(self, dataset: Dataset) -> list[Queries]:
        """Return the sampled queries in shards."""
        return list(self.queries(dataset).shards(self.shard_size))
