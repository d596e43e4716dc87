"""Events reach all handlers and observers, and no observer stops a run."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import pytest

from retbench import hookimpl
from retbench.catalog import Catalog
from retbench.catalog.discover import Discovery, Origin
from retbench.contracts import Event
from retbench.execute import EventDispatcher

STARTED = Event("run_started", total=3)


def catalog(**observers: Callable[[Event], None]) -> Catalog:
    """Return a catalog of observing plugins; those whose names differ only in the last letter share a distribution."""
    plugins = []
    for name, observer in observers.items():
        module = ModuleType(name)
        vars(module)["retbench_event"] = implement_hook(observer)
        plugins.append((Origin(name[:-1], "1.0"), module))
    return Catalog(Discovery(plugins, []))


def implement_hook(observer: Callable[[Event], None]) -> Callable[[Event], None]:
    """Return the hook implementation of a plugin that passes events to `observer`."""

    @hookimpl
    def retbench_event(event: Event) -> None:
        observer(event)

    return retbench_event


class FailingObserver:
    """Counts events and raises an error on each."""

    def __init__(self, error: BaseException) -> None:
        self.error, self.calls = error, 0

    def __call__(self, event: Event) -> None:
        self.calls += 1
        raise self.error


def test_handlers_and_plugins_receive_every_event() -> None:
    handled: list[Event] = []
    first: list[Event] = []
    second: list[Event] = []
    dispatch = EventDispatcher([handled.append], catalog(one_a=first.append, one_b=second.append))
    dispatch(STARTED)
    dispatch(Event("finished"))
    assert handled == first == second == [STARTED, Event("finished")]


@pytest.mark.parametrize("error", [ValueError("no disk"), SystemExit("no disk")], ids=["exception", "exit"])
def test_an_observer_that_raises_is_reported_once_and_removed(error: BaseException) -> None:
    handled: list[Event] = []
    failing = FailingObserver(error)
    dispatch = EventDispatcher([handled.append], catalog(bad_a=failing))
    dispatch(STARTED)
    dispatch(Event("finished"))
    problem = f"plugin bad_ 1.0: its retbench_event raised and is off: {type(error).__name__}: no disk"
    assert handled == [STARTED, Event("warning", message=problem), Event("finished")]
    assert failing.calls == 1


def test_several_observers_that_raise_are_reported_and_the_others_stay() -> None:
    handled: list[Event] = []
    received: list[Event] = []
    failing = [FailingObserver(ValueError("x")), FailingObserver(ValueError("y"))]
    dispatch = EventDispatcher([handled.append], catalog(bad_a=failing[0], good_a=received.append, worse_a=failing[1]))
    dispatch(STARTED)
    dispatch(Event("finished"))
    assert [event.event for event in handled] == ["run_started", "warning", "warning", "finished"]
    assert received == handled
    assert [observer.calls for observer in failing] == [1, 1]


def test_an_interrupt_in_an_observer_is_raised() -> None:
    with pytest.raises(KeyboardInterrupt):
        EventDispatcher([], catalog(bad_a=FailingObserver(KeyboardInterrupt())))(STARTED)


def test_an_error_of_a_handler_is_raised() -> None:
    with pytest.raises(ValueError, match="a bug"):
        EventDispatcher([FailingObserver(ValueError("a bug"))], catalog())(STARTED)
