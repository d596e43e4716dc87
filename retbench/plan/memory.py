"""Answers remembered by their question: most cells of a matrix share most of what is asked about them."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

M = TypeVar("M", bound=Callable[..., Any])


class Remembering:
    """Keeps the answers of its `remembered` methods."""

    def __init__(self) -> None:
        self.memory: dict[tuple[Any, ...], Any] = {}


def remembered(method: M) -> M:
    """Return a method that answers an equal question from memory; its arguments are hashable."""

    @wraps(method)
    def answer(self: Remembering, *question: Any) -> Any:
        key = (method.__name__, *question)
        if key not in self.memory:
            self.memory[key] = method(self, *question)
        return self.memory[key]

    return cast(M, answer)
