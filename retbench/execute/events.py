"""Pass events to the handlers of a run and to the plugins."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from retbench.catalog import Catalog
from retbench.contracts import Event

EventHandler = Callable[[Event], None]


class EventDispatcher:
    """Passes every event to the run's own handlers and to the observers of plugins.

    Args:
        handlers: the console and the log file; their errors are bugs of retbench and are raised.
        catalog: the source of the observers; one that raises is reported as a warning and not called again.
    """

    def __init__(self, handlers: Iterable[EventHandler], catalog: Catalog) -> None:
        self._handlers = list(handlers)
        self._observers = list(catalog.observers)

    def __call__(self, event: Event) -> None:
        """Pass an event to all handlers and observers."""
        for handler in self._handlers:
            handler(event)
        problems = []
        for origin, observer in list(self._observers):
            try:
                observer(event)
            except (Exception, SystemExit) as error:  # a fault of an observer must not stop the run
                self._observers.remove((origin, observer))
                problems.append(
                    f"plugin {origin}: its retbench_event raised and is off: {type(error).__name__}: {error}"
                )
        for problem in problems:
            self(Event("warning", message=problem))
