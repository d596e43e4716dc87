"""Everybody who watches is told, and no watching plugin stops the run."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import pytest

from retbench import hookimpl
from retbench.catalog import Catalog
from retbench.catalog.discover import Discovery, Origin
from retbench.contracts import Event
from retbench.execute import Broadcast

STARTED = Event("run_started", total=3)


def catalog(**observers: Callable[[Event], None]) -> Catalog:
    """A catalog of plugins that only watch; those whose names differ in their last letter are of one distribution."""
    plugins = []
    for name, observer in observers.items():
        module = ModuleType(name)
        vars(module)["retbench_event"] = implemented(observer)
        plugins.append((Origin(name[:-1], "1.0"), module))
    return Catalog(Discovery(plugins, []))


def implemented(observer: Callable[[Event], None]) -> Callable[[Event], None]:
    """Return the hook implementation of a plugin that hands events on to `observer`."""

    @hookimpl
    def retbench_event(event: Event) -> None:
        observer(event)

    return retbench_event


class Raising:
    """Fails on every event, and counts them."""

    def __init__(self, error: BaseException) -> None:
        self.error, self.calls = error, 0

    def __call__(self, event: Event) -> None:
        self.calls += 1
        raise self.error


def test_watchers_and_plugins_hear_every_event() -> None:
    watcher: list[Event] = []
    first: list[Event] = []
    second: list[Event] = []
    tell = Broadcast([watcher.append], catalog(one_a=first.append, one_b=second.append))
    tell(STARTED)
    tell(Event("finished"))
    assert watcher == first == second == [STARTED, Event("finished")]


@pytest.mark.parametrize("error", [ValueError("no disk"), SystemExit("no disk")], ids=["exception", "exit"])
def test_an_observer_that_raises_is_told_once_and_switched_off(error: BaseException) -> None:
    watcher: list[Event] = []
    raising = Raising(error)
    tell = Broadcast([watcher.append], catalog(bad_a=raising))
    tell(STARTED)
    tell(Event("finished"))
    problem = f"plugin bad_ 1.0: its retbench_event raised and is off: {type(error).__name__}: no disk"
    assert watcher == [STARTED, Event("warning", message=problem), Event("finished")]
    assert raising.calls == 1


def test_several_observers_that_raise_are_each_told_and_the_others_go_on() -> None:
    watcher: list[Event] = []
    heard: list[Event] = []
    raising = [Raising(ValueError("x")), Raising(ValueError("y"))]
    tell = Broadcast([watcher.append], catalog(bad_a=raising[0], good_a=heard.append, worse_a=raising[1]))
    tell(STARTED)
    tell(Event("finished"))
    assert [event.event for event in watcher] == ["run_started", "warning", "warning", "finished"]
    assert heard == watcher
    assert [observer.calls for observer in raising] == [1, 1]


def test_an_interrupt_in_an_observer_passes() -> None:
    with pytest.raises(KeyboardInterrupt):
        Broadcast([], catalog(bad_a=Raising(KeyboardInterrupt())))(STARTED)


def test_an_error_of_our_own_watcher_passes() -> None:
    with pytest.raises(ValueError, match="a bug"):
        Broadcast([Raising(ValueError("a bug"))], catalog())(STARTED)
