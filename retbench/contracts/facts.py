"""The facts of a cell that are known before anything runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal, get_args

from retbench.contracts.threat import Threat

Split = Literal["train", "query", "database"]
SPLITS: tuple[Split, ...] = get_args(Split)
Task = Literal["i2i", "i2t", "t2i", "t2t"]


@dataclass(frozen=True)
class Facts:
    """The facts of a dataset or a cell, on which a component may base its parts, its limits and its reasons to skip.

    Attributes:
        dataset: the dataset's name.
        image_size: height and width in pixels.
        classes: class names, in the order of the label columns.
        sizes: number of rows of each split; cannot be changed.
        text_width: length of a text vector; 0 for a dataset without texts.
        bits: code length; 0 where it does not apply.
        task: modality of the queries and of the database, as `i2t` for images against texts; None where it does not
            apply.
        threat: the attacker's knowledge; None in a cell without an attack.
    """

    dataset: str
    image_size: tuple[int, int]
    classes: tuple[str, ...]
    sizes: Mapping[Split, int] = field(hash=False)
    text_width: int = 0
    bits: int = 0
    task: Task | None = None
    threat: Threat | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "sizes", MappingProxyType(dict(self.sizes)))  # a copy that no component can change
