"""Evaluating components given in Python, without a suite file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from retbench.canon import digest
from retbench.catalog.local import local_catalog, name_of
from retbench.contracts import Component, Protocol
from retbench.document import Document
from retbench.errors import SuiteError, UserError
from retbench.study.axes import Axes, classes_of, read_axes
from retbench.study.opening import open_store, plan_study
from retbench.study.request import PrecisionChoice, Request
from retbench.study.study import Study
from retbench.suite import LoadedSuite, Suite, find_suite, read_suite
from retbench.suite.model import COMPONENT_AXES, Choice, Override

Value = str | Component | type[Component]
"""A component: by its name, as an object with exactly its options, or as a class, which stands for its name."""
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
    plugins: Sequence[str | Path] = (),
    step_timeout: float | None = None,
    progress: bool = True,
) -> Study:
    """Return a study of every combination of some components, run.

    Each of `dataset`, `hasher`, `attack`, `defense` and `surrogate` takes a component's name, an object, a class, or a
    list of them; in the list of a defense, a list or tuple combines several (`[("atrdh", "retpur")]`).

    A name has the options of the suite `like`, with its overrides, so that artifacts are shared with runs of that
    suite; a class stands for its name. An object has its own options and no others; objects of one name with different
    options are variants in rows and tables. A class that no plugin offers may be defined in a notebook or a script:
    its recipes carry the digest of its source.

    The study is remembered in the store like the run of a suite, so that `retbench gc` keeps its artifacts.

    Args:
        bits, task, threat, seed: values of the other axes, one or a list.
        store: the folder of artifacts; by default that of RETBENCH_STORE, or `.retbench`.
        protocol: changes of the protocol of `like`, such as `{"queries": 200}`, or a whole Protocol.
        layout: of the tables: names of shipped layouts, or paths.
        like: the suite that options, overrides, protocol and shard size come from.
        name: what the run is remembered under; by default `evaluate-` and a digest of what is evaluated.
        plugins: Python files whose components are used beside the installed ones.
        step_timeout: seconds that one step may take.
        progress: show a progress bar.

    Raises:
        UserError: an unknown name, a component of another kind, two classes of one name, a class whose source cannot
            be read or was edited since it was imported.

    >>> import tempfile
    >>> from retbench.testing import ToyAttack, ToyDataset, ToyHasher
    >>> toys = {"dataset": ToyDataset(), "hasher": ToyHasher(), "bits": 8, "progress": False}
    >>> with tempfile.TemporaryDirectory() as store:
    ...     study = evaluate(**toys, attack=["none", ToyAttack(eps=8 / 255)], store=store)
    ...     [(row.attack, row.status) for row in study.rows()]
    [('none', 'done'), ('toy', 'done')]
    """
    given = {"dataset": dataset, "hasher": hasher, "attack": attack, "surrogate": surrogate, "defense": defense}
    _check_names(given)
    files = tuple(str(Path(file).resolve()) for file in plugins)
    catalog = local_catalog(files, classes_of(given))  # it gives local classes their names
    axes = read_axes(given)
    others = {"bits": bits, "task": task, "threat": threat, "seed": seed}
    matrix: dict[str, Any] = {**axes.choices(), **{axis: _without_numpy(value) for axis, value in others.items()}}
    layouts = [str(each) for each in ([layout] if isinstance(layout, str | Path) else layout)]
    changes = protocol if isinstance(protocol, Protocol) else _without_numpy(protocol or {})
    loaded = _make_suite(axes, matrix, layouts, changes, like, name)
    request = Request(None, plugins=files, device=device, precision=precision)
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
    """Return a suite of a matrix, with what the suite `like` sets for the names in it."""
    model = read_suite(find_suite(str(like))).suite
    document = Document("evaluate", {}, {})
    fields: dict[str, Any] = {
        "suite": name or "evaluate",
        "description": f"made in Python; names have the options of suite {model.suite}",
        "matrix": {axis: list(value) if isinstance(value, tuple) else value for axis, value in matrix.items()},
        "components": {
            kind: {each: options for each, options in named.items() if each in axes.names[kind]}
            for kind, named in model.components.items()
        },
        "overrides": list(_overrides(model.overrides, axes, matrix)),
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
    """Return a protocol with changes on top; those of its targets merge, as in a profile."""
    if isinstance(changes, Protocol):
        return changes.model_dump()
    fields = protocol.model_dump()
    for name, value in changes.items():
        nested = isinstance(value, Mapping) and isinstance(fields.get(name), dict)
        fields[name] = {**fields[name], **value} if nested else value
    return fields


def _overrides(overrides: Iterable[Override], axes: Axes, matrix: Mapping[str, Any]) -> Iterable[Override]:
    """Yield the overrides that can hold in some cell, with the components that are in the matrix."""
    for override in overrides:
        components = {
            kind: {name: options for name, options in named.items() if name in axes.names[kind]}
            for kind, named in override.components.items()
        }
        values = {axis: _labels(matrix[axis]) for axis in override.when}
        reachable = all(values[axis] & set(map(str, wanted)) for axis, wanted in override.when.items())
        if reachable and any(components.values()):
            when = {
                axis: [value for value in wanted if str(value) in values[axis]]
                for axis, wanted in override.when.items()
            }
            yield override.model_copy(update={"when": when, "components": components})


def _labels(values: Any) -> set[str]:
    """Return the values of an axis as rows print them."""
    entries = values if isinstance(values, list | tuple) else [values]
    return {entry.label if isinstance(entry, Choice) else str(entry) for entry in entries}


def _check_names(given: Mapping[str, Any]) -> None:
    """Raise UserError where two classes have one kind and name, as after a cell that defines one was run again."""
    known: dict[tuple[str, str], type[Component]] = {}
    for axis, value in given.items():
        for component in classes_of({axis: value}):
            name = name_of(component)
            other = known.setdefault((COMPONENT_AXES[axis], name), component)
            if other is not component:
                modules = " and ".join(sorted({other.__module__, component.__module__}))
                raise UserError(
                    f"evaluate: {axis}: two classes have one name: got {name!r} twice, of {modules}; make objects anew "
                    "once their class is defined again, or give one class a name of its own"
                )


def _without_numpy(value: Any) -> Any:
    """Return a value with Python's own numbers and lists in place of numpy's."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    if isinstance(value, Mapping):
        return {key: _without_numpy(inner) for key, inner in value.items()}
    return [_without_numpy(inner) for inner in value] if isinstance(value, list | tuple) else value
