"""The order inside a tie: with K bits there are K + 1 distances, so an item shares its distance with many others.

How ties are broken is part of a measurement's protocol:

- `stable`: items at one distance keep the database order. Reproducible, but a database that is sorted by class moves
  the result.
- `expected`: the exact expectation over a uniformly random order inside every tie; independent of the database order.
- `best`: inside every tie the relevant items come first.
- `worst`: inside every tie the relevant items come last.
"""

from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]
Ties = Literal["stable", "expected", "best", "worst"]


class Groups(NamedTuple):
    """The tie groups of one query, by distance 0..bits."""

    sizes: Integers
    relevants: Integers
    """How many of `sizes` are relevant."""


def check_ties(where: str, ties: str) -> None:
    """Refuse a tie rule that does not exist.

    Raises:
        ValueError: `ties` is none of the four rules.
    """
    if ties not in get_args(Ties):
        raise ValueError(f"{where}: unknown tie rule: got {ties!r}, expected one of {', '.join(get_args(Ties))}")
