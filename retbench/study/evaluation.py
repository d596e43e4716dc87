"""Evaluate components given in Python, without a suite file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from retbench.canon import digest
from retbench.catalog.local import component_name, local_catalog
from retbench.contracts import Component, Protocol
from retbench.document import Document
from retbench.errors import SuiteError, UserError
from retbench.study.axes import Axes, list_classes, read_axes
from retbench.study.opening import open_store, plan_study
from retbench.study.request import PluginFiles, PrecisionChoice, StudyRequest, resolve_files
from retbench.study.study import Study
from retbench.suite import LoadedSuite, Suite, find_suite, read_suite
from retbench.suite.model import COMPONENT_AXES, Choice, Override

Value = str | Component | type[Component]
"""A component: its name, an object with its own options, or a class, which stands for its name."""
Values = Value | Sequence[Value | None] | None
DEFAULT_BITS = 32


def evaluate(
    *,
    dataset: Values,
    hasher: Values,
    attack: Values = "none",
    defense: Values | Sequence[Value | Sequence[Value] | None] = "none",
    bits: int | Sequence[int] = DEFAULT_BITS,
    task: str | Sequence[str] = "i2i",
    threat: str | Sequence[str] = "oblivious",
    seed: int | Sequence[int] = 0,
    surrogate: Values = "none",
    store: str | Path | None = None,
    device: str = "auto",
    precision: PrecisionChoice = "auto",
    protocol: Mapping[str, Any] | Protocol | None = None,
    layout: str | Path | Sequence[str | Path] = "long",
    like: str | Path = "unimodal",
    name: str = "",
    plugins: PluginFiles = (),
    step_timeout: float | None = None,
    progress: bool = True,
) -> Study:
    """Run every combination of some components, and return the study.

    `dataset`, `hasher`, `attack`, `defense` and `surrogate` each take a component's name, an object, a class, or a list
    of them. In a list of defenses, a list or tuple combines its components (`[("atrdh", "retpur")]`).

    A name has the options and overrides of the suite `like`, so that artifacts are shared with runs of that suite; a
    class stands for its name. An object has its own options; objects with the same name and different options become
    variants in rows and tables. A class may also be defined in a notebook or a script: the recipe then holds the digest
    of its source.

    The run is recorded in the store like the run of a suite, so that `retbench gc` keeps its artifacts. A cell that
    fails does not raise (see `Study.run`).

    Args:
        dataset: one dataset or a list.
        hasher: one hasher or a list.
        attack: one attack or a list; `none` for clean queries.
        defense: one defense or a list; `none` for no defense.
        bits: code lengths in bits.
        task: `i2i`, `i2t`, `t2i` or `t2t` (image or text queries, image or text database).
        threat: `oblivious` or `adaptive`.
        seed: seeds.
        surrogate: the hashers that attacks are made on; `none` for the hasher itself.
        store: the folder of computed artifacts; by default RETBENCH_STORE, or `.retbench`.
        device: `auto`, `cpu`, `cuda`, `cuda:1`, ...
        precision: of convolutions and matrix products; `auto` is bf16 if the device supports it in hardware.
        protocol: changes to the protocol of `like`, for example `{"queries": 200}`, or a complete Protocol.
        layout: layouts of the tables: names of shipped layouts, or paths.
        like: the suite that provides options, overrides, protocol and shard size.
        name: the name of the recorded run; by default `evaluate-` and a digest of the arguments.
        plugins: a Python file, or several, whose components are used in addition to the installed ones.
        step_timeout: limit in seconds for one step.
        progress: show progress; if False, failed cells are reported by a warning.

    Raises:
        UserError: an unknown name, a component of another kind, two classes with one name, wrong options, or a class
            whose source cannot be read or changed after it was imported.

    >>> import tempfile
    >>> from retbench.testing import ToyAttack, ToyDataset, ToyHasher
    >>> toys = {"dataset": ToyDataset(), "hasher": ToyHasher(), "bits": 8, "progress": False}
    >>> with tempfile.TemporaryDirectory() as store:
    ...     study = evaluate(**toys, attack=["none", ToyAttack(eps=8 / 255)], store=store)
    ...     [(row.attack, row.status) for row in study.rows()]
    [('none', 'done'), ('toy', 'done')]
    """
    components = {"dataset": dataset, "hasher": hasher, "attack": attack, "surrogate": surrogate, "defense": defense}
    _check_names(components)
    files = resolve_files(plugins)
    catalog = local_catalog(files, list_classes(components))  # also names local classes, so it comes before read_axes
    axes = read_axes(components)
    others = {"bits": bits, "task": task, "threat": threat, "seed": seed}
    matrix: dict[str, Any] = {**axes.choices(), **{axis: _without_numpy(value) for axis, value in others.items()}}
    layouts = [str(path) for path in ([layout] if isinstance(layout, str | Path) else layout)]
    if not isinstance(protocol, Protocol | Mapping | None):
        raise UserError(f"evaluate: protocol: expected a mapping of changes or a Protocol, got {protocol!r}")
    changes = protocol if isinstance(protocol, Protocol) else _without_numpy(protocol or {})
    loaded = _make_suite(axes, matrix, layouts, changes, like, name)
    request = StudyRequest(None, plugins=files, device=device, precision=precision)
    study = plan_study(request, loaded, catalog, open_store(store))
    return study.run(step_timeout, progress)


def _make_suite(
    axes: Axes,
    matrix: Mapping[str, Any],
    layouts: Sequence[str],
    protocol: Mapping[str, Any] | Protocol,
    like: str | Path,
    name: str,
) -> LoadedSuite:
    """Return a suite with this matrix, and with the options that the suite `like` sets for its components."""
    model = read_suite(find_suite(str(like))).suite
    document = Document("evaluate", {}, {})
    fields: dict[str, Any] = {
        "suite": name or "evaluate",
        "description": f"made in Python; names have the options of suite {model.suite}",
        "matrix": {axis: list(value) if isinstance(value, tuple) else value for axis, value in matrix.items()},
        "components": {
            kind: {component: options for component, options in by_name.items() if component in axes.names[kind]}
            for kind, by_name in model.components.items()
        },
        "overrides": list(_select_overrides(model.overrides, axes, matrix)),
        "protocol": _merge_protocol(model.protocol, protocol),
        "report": {"layout": list(layouts)},
        "shard": model.shard,
    }
    try:
        suite = Suite.model_validate(fields)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where, message = ".".join(map(str, first["loc"])), first["msg"].removeprefix("Value error, ")
        raise SuiteError(f"evaluate: {where}: {message[0].lower()}{message[1:]}: got {first['input']!r}") from None
    if not name:
        suite = suite.model_copy(update={"suite": f"evaluate-{digest(suite.model_dump(mode='json'))[:8]}"})
    return LoadedSuite(suite, document, Path("evaluate"), "")


def _merge_protocol(protocol: Protocol, changes: Mapping[str, Any] | Protocol) -> dict[str, Any]:
    """Return a protocol with changes applied; nested changes (of targets) are merged, as in a profile."""
    if isinstance(changes, Protocol):
        return changes.model_dump()
    fields = protocol.model_dump()
    for name, value in changes.items():
        nested = isinstance(value, Mapping) and isinstance(fields.get(name), dict)
        fields[name] = {**fields[name], **value} if nested else value
    return fields


def _select_overrides(overrides: Iterable[Override], axes: Axes, matrix: Mapping[str, Any]) -> Iterable[Override]:
    """Yield the overrides that apply to some cell of the matrix, restricted to its components and values."""
    for override in overrides:
        components = {
            kind: {name: options for name, options in by_name.items() if name in axes.names[kind]}
            for kind, by_name in override.components.items()
        }
        labels = {axis: _labels(matrix[axis]) for axis in override.when}
        applies = all(labels[axis] & set(map(str, values)) for axis, values in override.when.items())
        if applies and any(components.values()):
            when = {
                axis: [value for value in values if str(value) in labels[axis]]
                for axis, values in override.when.items()
            }
            yield override.model_copy(update={"when": when, "components": components})


def _labels(values: Any) -> set[str]:
    """Return the values of an axis as rows print them."""
    entries = values if isinstance(values, list | tuple) else [values]
    return {entry.label if isinstance(entry, Choice) else str(entry) for entry in entries}


def _check_names(axes: Mapping[str, Any]) -> None:
    """Raise UserError if two classes have the same kind and name, as when a notebook cell defined a class twice."""
    known: dict[tuple[str, str], type[Component]] = {}
    for axis, value in axes.items():
        for component in list_classes({axis: value}):
            name = component_name(component)
            other = known.setdefault((COMPONENT_AXES[axis], name), component)
            if other is not component:
                modules = " and ".join(sorted({other.__module__, component.__module__}))
                raise UserError(
                    f"evaluate: {axis}: two classes have one name: got {name!r} twice, from {modules}; if you defined "
                    "the class again, create its objects again, else give one class another name"
                )


def _without_numpy(value: Any) -> Any:
    """Return a value with the numbers and arrays of numpy converted to Python numbers and lists."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    if isinstance(value, Mapping):
        return {key: _without_numpy(inner) for key, inner in value.items()}
    return [_without_numpy(inner) for inner in value] if isinstance(value, list | tuple) else value
