"""Tells what happens to everybody who watches, and lets no watcher stop the run."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from retbench.catalog import Catalog
from retbench.contracts import Event

Watcher = Callable[[Event], None]


class Broadcast:
    """Passes every event to the run's own watchers and to the plugins'.

    Args:
        watchers: the console and the log; they are part of retbench, so their errors are bugs and pass.
        catalog: its observers are strangers': one that raises is reported as a warning and not called again.
    """

    def __init__(self, watchers: Iterable[Watcher], catalog: Catalog) -> None:
        self._watchers = list(watchers)
        self._observers = list(catalog.observers)

    def __call__(self, event: Event) -> None:
        for watcher in self._watchers:
            watcher(event)
        problems = []
        for origin, observer in list(self._observers):
            try:
                observer(event)
            except (Exception, SystemExit) as error:  # an observer's mistake must not cost anybody's run
                self._observers.remove((origin, observer))
                problems.append(
                    f"plugin {origin}: its retbench_event raised and is off: {type(error).__name__}: {error}"
                )
        for problem in problems:
            self(Event("warning", message=problem))
