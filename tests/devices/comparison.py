"""Compare the steps and the rows that one device computes with those of another one.

A step is repeated from the other device's stored inputs, so that differences do not add up from step to step.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from retbench.execute import LocalExecutor
from retbench.plan import Plan
from retbench.store import Artifact, Store

Row = Mapping[str, Any]
"""A row as `retbench results --json` prints it."""


class Tolerance(NamedTuple):
    """The largest difference that is no fault, and the reason for it."""

    limit: float
    reason: str


class Difference(NamedTuple):
    """A difference above its tolerance."""

    place: str
    quantity: str
    size: float
    tolerance: Tolerance

    def __str__(self) -> str:
        limit, reason = self.tolerance
        return (
            f"{self.place}: {self.quantity}: got a difference of {self.size:.3g}, expected at most {limit:g} ({reason})"
        )


class RepeatedStep(NamedTuple):
    """A step of a plan, with the artifact of the reference and that of the repetition."""

    stage: str
    label: str
    reference: Artifact
    repeated: Artifact


def repeat_steps(plan: Plan, reference: Store, scratch: Store, device: torch.device) -> Iterator[RepeatedStep]:
    """Yield each step of a plan, repeated on `device` from the inputs in `reference`.

    Args:
        plan: the plan; all its steps are in `reference`.
        reference: the store of the other device.
        scratch: an empty store.
        device: the device of the repetition.

    Raises:
        AssertionError: a step fails on `device`.
    """
    executor = LocalExecutor(scratch, device, lambda event: None)
    for key, stage in plan.steps.items():
        for needed in stage.inputs:
            if not scratch.has(needed):
                scratch.put(reference.get(needed))
        failures = executor.run(replace(plan, steps={key: stage})).failures
        assert not failures, f"{stage.name} {stage.label}: {failures[key].reason}"
        yield RepeatedStep(stage.name, stage.label, reference.get(key), scratch.get(key))
        scratch.discard(key)


def compare_steps(steps: Iterable[RepeatedStep]) -> list[Difference]:
    """Return the differences above the tolerances of the steps' stages."""
    differences = []
    for step in steps:
        place = f"{step.stage} {step.label}"
        if _layout(step.reference) != _layout(step.repeated):
            differences.append(Difference(place, "names, shapes and types", math.inf, SAME_LAYOUT))
            continue
        for quantity, (measure, tolerance) in STAGES[step.stage].items():
            size = measure(step.reference.tensors, step.repeated.tensors)
            if not size <= tolerance.limit:  # NaN is a difference
                differences.append(Difference(place, quantity, size, tolerance))
    return differences


def compare_rows(
    reference: Iterable[Row], rows: Iterable[Row], tolerances: Mapping[str, Mapping[str, Tolerance]]
) -> list[Difference]:
    """Return the differences of metrics above their tolerances, and cells or metrics that only one side has.

    Args:
        reference: the rows to compare with.
        rows: the rows to check.
        tolerances: for each attack, the tolerances by metric.
    """
    first, second = ({(row["attack"], row["defense"]): row["metrics"] for row in side} for side in (reference, rows))
    differences = []
    for cell in first | second:
        metrics, others = first.get(cell, {}), second.get(cell, {})
        for name in metrics | others:
            known = name in metrics and name in others
            size = abs(metrics[name]["value"] - others[name]["value"]) if known else math.inf
            tolerance = tolerances[cell[0]][name]
            if not size <= tolerance.limit:
                differences.append(Difference(f"attack {cell[0]}, defense {cell[1]}", name, size, tolerance))
    return differences


def _layout(artifact: Artifact) -> dict[str, tuple[torch.Size, torch.dtype]]:
    return {name: (tensor.shape, tensor.dtype) for name, tensor in artifact.tensors.items()}


Tensors = Mapping[str, Tensor]
Measure = Callable[[Tensors, Tensors], float]


def _unequal_tensors(reference: Tensors, repeated: Tensors) -> float:
    return float(sum(not torch.equal(tensor, repeated[name]) for name, tensor in reference.items()))


def _largest_difference(reference: Tensors, repeated: Tensors) -> float:
    """Return the largest absolute difference; NaN, a query without the metric, equals NaN."""
    pairs = [(tensor.double(), repeated[name].double()) for name, tensor in reference.items()]
    if any(not torch.equal(one.isnan(), other.isnan()) for one, other in pairs):
        return math.inf
    return max((float((one - other).nan_to_num().abs().max()) for one, other in pairs if len(one)), default=0.0)


def _differing_bits(reference: Tensors, repeated: Tensors) -> float:
    """Return the share of bits that differ; `codes` are packed, eight bits a byte."""
    differing = (reference["codes"] ^ repeated["codes"]).flatten().tolist()
    return sum(byte.bit_count() for byte in differing) / (8 * len(differing))


def _image_error(reference: Tensors, repeated: Tensors) -> float:
    """Return the root mean square difference of the images in gray levels."""
    return 255 * float((reference["images"] - repeated["images"]).square().mean().sqrt())


def _perturbation_error(reference: Tensors, repeated: Tensors) -> float:
    """Return the difference of the perturbations in units of the reference's perturbation, both root mean squares."""
    return _image_error(reference, repeated) / (255 * float(reference["mse"].mean().sqrt()))


def _perturbation_size(reference: Tensors, repeated: Tensors) -> float:
    return abs(float((repeated["mse"].mean() / reference["mse"].mean()).sqrt()) - 1)


def _weight_error(reference: Tensors, repeated: Tensors) -> float:
    """Return the difference of all floating-point tensors in units of the reference's length."""
    one, other = _join(reference), _join(repeated)
    return float((one - other).norm() / one.norm()) if len(one) else 0.0


def _weight_length(reference: Tensors, repeated: Tensors) -> float:
    one, other = _join(reference), _join(repeated)
    return abs(float(other.norm() / one.norm()) - 1) if len(one) else 0.0


def _join(tensors: Tensors) -> Tensor:
    floats = [tensor.double().flatten() for _, tensor in sorted(tensors.items()) if tensor.is_floating_point()]
    return torch.cat(floats) if floats else torch.zeros(0)


SAME_LAYOUT = Tolerance(0, "they depend on options alone")
TRAINING: Mapping[str, tuple[Measure, Tolerance]] = {
    "weights": (
        _weight_error,
        Tolerance(0.5, "a training amplifies rounding, and dropout draws on its device; another seed changes 0.87"),
    ),
    "length of the weights": (_weight_length, Tolerance(0.03, "it depends little on the path of a training")),
}
STAGES: Mapping[str, Mapping[str, tuple[Measure, Tolerance]]] = {
    "targets": {"unequal tensors": (_unequal_tensors, Tolerance(0, "they are drawn on the CPU, from hashes of ids"))},
    "score": {
        "values of a query": (
            _largest_difference,
            Tolerance(1e-9, "codes are ranked on the CPU; sums in another order"),
        )
    },
    "encode": {
        "share of bits": (_differing_bits, Tolerance(2e-3, "a logit that is 0 up to rounding may have either sign"))
    },
    "features": {"features": (_weight_error, Tolerance(1e-4, "float32 sums of thousands of terms in another order"))},
    "purify": {
        "images, gray levels": (
            _image_error,
            Tolerance(0.3, "rounding in float32, and of few pixels to another level; the noise is the same"),
        )
    },
    "attack": {
        "perturbation": (
            _perturbation_error,
            Tolerance(0.5, "a gradient that is 0 up to rounding may have either sign; an unrelated one differs by 1.4"),
        ),
        "size of the perturbation": (_perturbation_size, Tolerance(0.03, "it depends little on single signs")),
    },
    "fit_part": TRAINING,
    "fit": TRAINING,
    "fit_attack": TRAINING,
    "fit_defense": TRAINING,
}
"""For each stage, the measures of a difference with their tolerances."""
