"""Exit codes and what a user reads when a command cannot work."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from retbench.errors import RetbenchError

from .conftest import Retbench


def test_a_mistyped_command_names_the_nearest(retbench: Retbench) -> None:
    ended = retbench("runn", "toy.yaml")
    assert ended.code == 2
    assert "nearest: run" in ended.err


def test_an_unknown_option_is_a_usage_error(retbench: Retbench) -> None:
    assert retbench("run", "toy.yaml", "--sets", "a=1").code == 2


def test_the_version_is_printed(retbench: Retbench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.metadata.version", lambda name: f"version of {name}")
    assert "version of retbench" in retbench("--version").out


@pytest.mark.parametrize(
    ("old", "new", "place", "told"),
    [
        ("attack: [none, toy]", "attack: [none, toi]", "toy.yaml:6:18", "nearest: toy"),
        ("eps: 60/255", "epz: 60/255", "toy.yaml:9:18", "nearest: eps"),
        ("eps: 60/255", "eps: 7", "toy.yaml:9:18", "less than or equal to 1"),
        ("eps: 60/255", "eps: no", "toy.yaml:9:18", "valid number"),
        ("dataset: toy", "dataset: toyz", "toy.yaml:3:3", "nearest: toy"),
        ("shard: 4", "shart: 4", "toy.yaml:10:1", "nearest: shard"),
        ("shard: 4", "shard: 4\nshard: 5", "toy.yaml:11:1", "repeated key"),
        ("  bits: 16", "  bitz: 16", "toy.yaml:5:3", "nearest: bits"),
        ("retpur-table-7]", "retpur-table-77]", "toy.yaml:11:10", "nearest: retpur-table-7"),
        ("  bits: 16", "  bits: 16\n  exclude: [{dataset: toy}]", "toy.yaml:2:1", "no cell is left"),
    ],
)
def test_a_mistake_in_a_suite_is_one_line_with_its_place(
    retbench: Retbench, change: Callable[[str, str], None], old: str, new: str, place: str, told: str
) -> None:
    change(old, new)
    ended = retbench("run", "toy.yaml")
    assert ended.code == 2
    assert len(ended.err.strip().splitlines()) == 1
    assert place in ended.err
    assert told in ended.err


def test_an_unknown_profile_is_named(retbench: Retbench) -> None:
    ended = retbench("plan", "toy.yaml", "--profile", "papr")
    assert (ended.code, "papr" in ended.err) == (2, True)


def test_a_missing_suite_names_those_beside_it(retbench: Retbench) -> None:
    ended = retbench("run", "toi.yaml")
    assert ended.code == 2
    assert "nearest: toy.yaml" in ended.err


def test_an_unknown_device_is_one_line(retbench: Retbench) -> None:
    ended = retbench("run", "toy.yaml", "--device", "tpu9")
    assert ended.code == 2
    assert "--device" in ended.err
    assert len(ended.err.strip().splitlines()) == 1


def test_a_bug_is_a_traceback(retbench: Retbench, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr("retbench.study.opening.open", broken)
    with pytest.raises(ZeroDivisionError):
        retbench("plan", "toy.yaml")


def test_an_error_that_is_not_the_users_exits_with_1(retbench: Retbench, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*_: object, **__: object) -> None:
        raise RetbenchError("store: gone")

    monkeypatch.setattr("retbench.study.opening.open", failing)
    ended = retbench("plan", "toy.yaml")
    assert (ended.code, ended.err) == (1, "error: store: gone\n")


@pytest.mark.parametrize("command", [("plan", "toy.yaml"), ("results", "toy.yaml"), ("report", "toy.yaml")])
def test_a_store_that_is_a_file_is_not_an_empty_store(retbench: Retbench, command: tuple[str, ...]) -> None:
    ended = retbench(*command, "--store", "toy.yaml")
    assert ended.code == 2
    assert "it is not a folder" in ended.err
