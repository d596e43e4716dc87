"""The values that an axis accepts."""

from typing import Any

import pytest
from pydantic import ValidationError

from retbench.suite import AXES, Suite
from retbench.suite.model import COMPONENT_AXES, Inclusion, Matrix, Override


def matrix(**axes: Any) -> Matrix:
    return Matrix.model_validate({"dataset": "toy", "hasher": "toy", **axes})


def labels(values: Any) -> list[str]:
    return [choice.label for choice in matrix(defense=values).defense]


def test_every_axis_is_a_field_of_the_matrix_and_of_inclusions() -> None:
    assert set(Matrix.model_fields) == {*AXES, "exclude", "include"}
    assert set(Inclusion.model_fields) == set(AXES)
    assert set(COMPONENT_AXES) < set(AXES)


def test_a_scalar_is_a_list_of_one() -> None:
    assert matrix(defense="toy", bits=16, task="t2i", threat="adaptive", seed=3) == matrix(
        defense=["toy"], bits=[16], task=["t2i"], threat=["adaptive"], seed=[3]
    ).model_copy(update={"defense": matrix(defense="toy").defense})
    assert labels("toy") == labels(["toy"]) == ["toy"]


def test_defaults_are_one_clean_cell() -> None:
    plain = matrix()
    assert (plain.bits, plain.task, plain.threat, plain.seed) == ((32,), ("i2i",), ("oblivious",), (0,))
    assert [getattr(plain, axis)[0].label for axis in ("attack", "surrogate", "defense")] == ["none"] * 3


def test_none_is_an_empty_choice_and_a_list_is_a_combination() -> None:
    (nothing, one, both) = matrix(defense=["none", "atrdh", ["atrdh", "retpur"]]).defense
    assert (nothing.names, nothing.label) == ((), "none")
    assert (one.names, one.label) == (("atrdh",), "atrdh")
    assert (both.names, both.label) == (("atrdh", "retpur"), "atrdh+retpur")


def test_a_sweep_is_a_choice_for_each_value() -> None:
    swept = matrix(defense=["none", {"retpur": {"sweep": {"t_p": [5, 0.5]}}}]).defense
    assert [choice.label for choice in swept] == ["none", "retpur", "retpur"]
    assert [choice.variant for choice in swept] == ["", "t_p=5", "t_p=0.5"]
    assert [choice.options for choice in swept] == [{}, {"retpur": {"t_p": 5}}, {"retpur": {"t_p": 0.5}}]
    assert [choice.at for choice in swept] == [(0,), (1,), (1,)]


@pytest.mark.parametrize(
    "entry",
    [
        5,
        None,
        True,
        [],
        ["toy", 5],
        [["toy"]],
        {},
        {"toy": {}, "faulty": {}},
        {5: {"sweep": {"eps": [1]}}},
        {"toy": None},
        {"toy": {"eps": [1]}},
        {"toy": {"sweep": None}},
        {"toy": {"sweep": {"eps": 1}}},
        {"toy": {"sweep": {"eps": []}}},
        {"toy": {"sweep": {5: [1]}}},
        {"toy": {"sweep": {"eps": [1], "steps": [2]}}},
        {"toy": {"sweep": {"eps": [1]}, "steps": 3}},
    ],
)
def test_a_malformed_entry_is_refused_at_its_index(entry: Any) -> None:
    with pytest.raises(ValidationError) as caught:
        matrix(defense=["none", entry])
    (error,) = caught.value.errors()
    assert error["loc"] == ("defense", 1)
    assert "{sweep: {option: [values]}}" in error["msg"]


@pytest.mark.parametrize("axis", ["dataset", "hasher", "attack", "surrogate"])
def test_only_a_defense_may_combine_components(axis: str) -> None:
    for build in (matrix, Inclusion):
        with pytest.raises(
            ValidationError, match=r"only defenses may be combined: got \['a', 'b'\], expected one name"
        ):
            build(**{axis: [["a", "b"]]})


@pytest.mark.parametrize(
    ("axis", "value"),
    [
        ("bits", 0),
        ("bits", 4097),
        ("bits", 32.0),
        ("bits", "32"),
        ("bits", True),
        ("seed", -1),
        ("seed", "0"),
        ("task", "i2x"),
        ("threat", "blind"),
        ("dataset", []),
        ("bits", []),
        ("task", []),
        ("defense", []),
        ("seed", []),
        ("bits", None),
    ],
)
def test_an_invalid_value_of_an_axis_is_refused(axis: str, value: Any) -> None:
    for build in (matrix, Inclusion):
        if (build, value) != (Inclusion, None):
            with pytest.raises(ValidationError) as caught:
                build(**{axis: value})
            assert caught.value.errors()[0]["loc"][0] == axis


def test_patterns_take_a_value_or_a_list() -> None:
    override = Override.model_validate({"when": {"bits": 32, "attack": ["none", "toy"]}, "components": {}})
    assert override.when == {"bits": [32], "attack": ["none", "toy"]}
    with pytest.raises(ValidationError, match="expected a mapping of axes: got 'toy'"):
        matrix(exclude=["toy"])


@pytest.mark.parametrize("name", ["unimodal", "uni-modal_2.1", "7"])
def test_a_name_that_can_be_a_file_name_is_accepted(name: str) -> None:
    assert Suite.model_validate({"suite": name, "matrix": matrix()}).suite == name


@pytest.mark.parametrize("name", ["../runs", "Uni", "uni modal", ".hidden", "", "a/b", "a\n"])
def test_a_name_that_cannot_be_a_file_name_is_refused(name: str) -> None:
    with pytest.raises(ValidationError, match="pattern"):
        Suite.model_validate({"suite": name, "matrix": matrix()})


def test_a_suite_is_immutable() -> None:
    suite = Suite.model_validate({"suite": "trial", "matrix": matrix()})
    for model, field in ((suite, "shard"), (suite.matrix, "bits"), (suite.protocol, "queries")):
        with pytest.raises(ValidationError, match="frozen"):
            setattr(model, field, 1)


def test_a_report_has_no_published_numbers_by_default() -> None:
    plain = Suite.model_validate({"suite": "trial", "matrix": matrix()})
    assert (plain.report.layout, plain.report.claims) == (("long",), "")
    with_claims = Suite.model_validate({"suite": "trial", "matrix": matrix(), "report": {"claims": "retpur"}})
    assert with_claims.report.claims == "retpur"


@pytest.mark.parametrize("claims", [5, ["retpur"], None])
def test_the_claims_of_a_report_are_one_name(claims: Any) -> None:
    with pytest.raises(ValidationError) as caught:
        Suite.model_validate({"suite": "trial", "matrix": matrix(), "report": {"claims": claims}})
    assert [error["loc"] for error in caught.value.errors()] == [("report", "claims")]
