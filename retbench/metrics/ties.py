"""Rules for the order of items at the same distance.

Codes of K bits have only K + 1 distances, so that many database items are at the same distance of a query. Every
measure depends on the order inside such a tie, so the tie rule is part of the measurement protocol:

- `stable`: tied items keep the database order. Reproducible, but sorting the database by class changes the result.
- `expected`: the exact expectation over a uniformly random order inside every tie; independent of the database order.
- `best`: inside every tie, the relevant items come first.
- `worst`: inside every tie, the relevant items come last.
"""

from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]
Ties = Literal["stable", "expected", "best", "worst"]


class TieGroups(NamedTuple):
    """The tie groups of one query.

    Attributes:
        sizes: number of items at each distance, int64 (bits + 1,).
        relevant: number of relevant items at each distance, int64 (bits + 1,).
    """

    sizes: Integers
    relevant: Integers


def check_ties(caller: str, ties: str) -> None:
    """Raise an error unless `ties` is one of the four tie rules.

    Args:
        caller: the public function that was called, for the message.
        ties: the tie rule.

    Raises:
        ValueError: the tie rule is unknown.
    """
    if ties not in get_args(Ties):
        raise ValueError(f"{caller}: unknown tie rule: got {ties!r}, expected one of {', '.join(get_args(Ties))}")
