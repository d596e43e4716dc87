"""Cache method results: the cells of a matrix share most of their components and datasets."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

M = TypeVar("M", bound=Callable[..., Any])


def cached_method(method: M) -> M:
    """Return a method that computes its result once per instance for equal, hashable arguments.

    `functools.cache` on a method would keep every instance alive.
    """

    @wraps(method)
    def call(self: Any, *arguments: Any) -> Any:
        cache = vars(self).setdefault("_cached_results", {})
        key = (method.__name__, *arguments)
        if key not in cache:
            cache[key] = method(self, *arguments)
        return cache[key]

    return cast(M, call)
