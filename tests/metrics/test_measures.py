"""Several measures in one pass equal those of the single functions bit for bit."""

import itertools
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from retbench.metrics import (
    AveragePrecision,
    Measure,
    PrecisionAt,
    PrecisionRecall,
    average_precision,
    measure_rankings,
    pack,
    precision_at,
    precision_recall,
)

DEFINITIONS: Any = ["full", "top-k", "top-k-skip", "first-k-relevant"]
TIES: Any = ["stable", "expected", "best", "worst"]
DEPTHS, RECALL_LEVELS = (3, 1, 40), torch.arange(21, dtype=torch.float64) / 20
MEASURES: list[Measure] = [
    measure
    for ties in TIES
    for measure in (
        *(AveragePrecision(definition, None if definition == "full" else 7, ties) for definition in DEFINITIONS),
        PrecisionAt(DEPTHS, ties),
        PrecisionRecall(RECALL_LEVELS, ties),
    )
]


def same(values: Tensor, expected: Tensor) -> bool:
    """Return whether two tensors are equal bit for bit; NaN equals NaN."""
    return (
        values.shape == expected.shape
        and values.dtype == expected.dtype
        and bool(((values == expected) | (values.isnan() & expected.isnan())).all())
    )


def call_function(measure: Measure, tensors: Sequence[Tensor], bits: int) -> Tensor:
    """Return the result of the single function of a measure."""
    if isinstance(measure, AveragePrecision):
        options: Any = {"definition": measure.definition, "depth": measure.depth, "ties": measure.ties}
        return average_precision(*tensors, bits=bits, **options)[:, None]
    if isinstance(measure, PrecisionAt):
        return precision_at(*tensors, bits=bits, depths=measure.depths, ties=measure.ties)
    assert isinstance(measure, PrecisionRecall)
    return precision_recall(*tensors, bits=bits, recalls=measure.recalls, ties=measure.ties)


def random_retrieval(
    seed: int, queries: int, items: int, bits: int, classes: int, sets: int
) -> tuple[Tensor, Tensor, Any, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    codes = torch.randint(2, (queries + items, bits), generator=generator).to(torch.int8) * 2 - 1
    labels = [(torch.rand(n, classes, generator=generator) < 0.3).byte() for n in (*[queries] * sets, items)]
    return pack(codes[:queries]), pack(codes[queries:]), labels[:-1], labels[-1]


@given(
    seed=st.integers(0, 10**6),
    queries=st.sampled_from([0, 1, 2, 33, 70]),
    items=st.sampled_from([0, 1, 2, 17, 300]),
    bits=st.sampled_from([1, 3, 8, 32, 65]),
    classes=st.sampled_from([1, 5, 66]),
    sets=st.integers(0, 3),
    chosen=st.lists(st.sampled_from(MEASURES), max_size=6),
)
@settings(max_examples=80)
def test_one_pass_gives_the_values_of_each_function(
    seed: int, queries: int, items: int, bits: int, classes: int, sets: int, chosen: list[Measure]
) -> None:
    codes, database, query_labels, labels = random_retrieval(seed, queries, items, bits, classes, sets)
    found = measure_rankings(codes, database, query_labels, labels, bits=bits, measures=chosen)
    assert [len(values) for values in found] == [len(chosen)] * sets
    for set_values, own in zip(found, query_labels, strict=True):
        for values, measure in zip(set_values, chosen, strict=True):
            assert same(values, call_function(measure, (codes, database, own, labels), bits))


@pytest.mark.parametrize("items", [0, 40])
def test_all_measures_of_one_large_tie(items: int) -> None:
    codes, database, query_labels, labels = random_retrieval(0, 5, items, 8, 3, 2)
    database = codes[:1].expand(items, -1)
    found = measure_rankings(codes, database, query_labels, labels, bits=8, measures=MEASURES)
    for (set_values, own), (index, measure) in itertools.product(
        zip(found, query_labels, strict=True), enumerate(MEASURES)
    ):
        assert same(set_values[index], call_function(measure, (codes, database, own, labels), 8))


def test_the_order_of_label_sets_does_not_matter() -> None:
    codes, database, (first, second), labels = random_retrieval(1, 40, 200, 12, 4, 2)
    found = measure_rankings(codes, database, [first, second], labels, bits=12, measures=MEASURES)
    swapped = measure_rankings(codes, database, [second, first], labels, bits=12, measures=MEASURES[::-1])
    for one, other in zip(found, swapped[::-1], strict=True):
        assert all(same(*pair) for pair in zip(one, other[::-1], strict=True))


def test_values_do_not_depend_on_the_number_of_threads() -> None:
    codes, database, query_labels, labels = random_retrieval(2, 70, 200, 16, 4, 2)
    threads, found = torch.get_num_threads(), []
    try:
        for count in (1, 3):
            torch.set_num_threads(count)
            found.append(measure_rankings(codes, database, query_labels, labels, bits=16, measures=MEASURES))
    finally:
        torch.set_num_threads(threads)
    for one, other in zip(*found, strict=True):
        assert all(same(*pair) for pair in zip(one, other, strict=True))


def test_the_database_is_read_once_for_all_measures(monkeypatch: pytest.MonkeyPatch) -> None:
    from retbench.metrics import counting

    calls: list[str] = []

    def counted(name: str) -> Any:
        kernel = getattr(counting, name)
        return lambda *arguments: (calls.append(name), kernel(*arguments))[1]

    for name in ("fill_keys", "mark_relevant", "count_keys", "rank_stable"):
        monkeypatch.setattr(counting, name, counted(name))
    codes, database, query_labels, labels = random_retrieval(3, 5, 60, 16, 4, 2)
    measure_rankings(codes, database, query_labels, labels, bits=16, measures=MEASURES)
    assert {name: calls.count(name) for name in calls} == {
        "fill_keys": 5,
        "mark_relevant": 10,
        "count_keys": 10,
        "rank_stable": 10,
    }


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"query_labels": [torch.ones(5, 4).byte(), torch.ones(4, 4).byte()]}, r"query_labels\[1\]: wrong number of r"),
        ({"query_labels": [torch.ones(5, 4)] * 2}, r"query_labels\[0\]: wrong dtype: got torch.float32"),
        ({"query_labels": [torch.ones(5, 3).byte()]}, "database_labels: wrong number of classes: got 4, expected 3"),
        ({"bits": 17}, "query_codes: wrong packed width: got 2 bytes, expected 3 for 17 bits"),
    ],
)
def test_tensors_that_do_not_match_raise(change: dict[str, Any], message: str) -> None:
    codes, database, query_labels, labels = random_retrieval(4, 5, 60, 16, 4, 2)
    arguments = {"query_labels": query_labels, "bits": 16} | change
    with pytest.raises(ValueError, match=f"^measure_rankings: {message}"):
        measure_rankings(codes, database, database_labels=labels, measures=MEASURES, **arguments)


@pytest.mark.parametrize(
    ("measure", "message"),
    [
        (AveragePrecision("top-k"), "average_precision: depth: needed by definition 'top-k'"),
        (AveragePrecision(ties=TIES[0] + "?"), "average_precision: unknown tie rule: got 'stable\\?'"),
        (PrecisionAt([0]), "precision_at: depths: below the first rank: got 0, expected at least 1"),
        (PrecisionRecall(RECALL_LEVELS + 1), r"precision_recall: recalls: not a recall: got 1\.05, expected 0 to 1"),
    ],
)
def test_the_error_on_a_wrong_option_names_the_function_of_the_measure(measure: Measure, message: str) -> None:
    codes, database, query_labels, labels = random_retrieval(5, 5, 60, 16, 4, 1)
    with pytest.raises(ValueError, match=f"^{message}"):
        measure_rankings(codes, database, query_labels, labels, bits=16, measures=[measure])
