"""Convert rows into a pandas data frame."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from retbench.errors import UserError
from retbench.results.row import ROW_AXES, Row

if TYPE_CHECKING:
    from pandas import DataFrame

COLUMNS = (*ROW_AXES, "status", "reason", "metric", "value", "low", "high")


def make_frame(rows: Sequence[Row]) -> DataFrame:
    """Return rows as a tidy data frame: one line for each cell and metric, one for a cell without numbers.

    Raises:
        UserError: pandas is not installed.
    """
    try:
        from pandas import DataFrame  # pandas is an optional dependency
    except ImportError:
        raise UserError("to_pandas: pandas is not installed; get it with `pip install pandas`") from None
    return DataFrame([line for row in rows for line in _lines(row)], columns=COLUMNS)


def _lines(row: Row) -> Iterator[dict[str, Any]]:
    cell = {name: getattr(row, name) for name in (*ROW_AXES, "status", "reason")}
    nan = float("nan")
    for metric, interval in row.metrics.items():
        yield {**cell, "metric": metric, **interval._asdict()}
    if not row.metrics:
        yield {**cell, "metric": None, "value": nan, "low": nan, "high": nan}
