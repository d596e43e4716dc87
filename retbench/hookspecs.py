"""The five hooks of a plugin: a module that an entry point of the group `retbench` names."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from retbench.contracts import Attack, Dataset, Defense, Event, Hasher

GROUP = "retbench"
hookspec = pluggy.HookspecMarker(GROUP)
hookimpl = pluggy.HookimplMarker(GROUP)


@hookspec
def retbench_datasets() -> list[type[Dataset]]:
    """Return the dataset classes of this plugin."""
    return []


@hookspec
def retbench_hashers() -> list[type[Hasher]]:
    """Return the hasher classes of this plugin."""
    return []


@hookspec
def retbench_attacks() -> list[type[Attack]]:
    """Return the attack classes of this plugin."""
    return []


@hookspec
def retbench_defenses() -> list[type[Defense]]:
    """Return the defense classes of this plugin: purifiers and hardenings."""
    return []


@hookspec
def retbench_event(event: Event) -> None:
    """Receive every event of a run; an exception raised here is reported and does not stop the run."""
