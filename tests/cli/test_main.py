"""Exit codes and error messages of the command line."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from retbench.errors import RetbenchError

from .conftest import RunCommand


def test_an_unknown_command_names_the_nearest(retbench: RunCommand) -> None:
    result = retbench("runn", "toy.yaml")
    assert result.code == 2
    assert "nearest: run" in result.err


@pytest.mark.parametrize(
    ("group", "commands"),
    [("plugins", "list, show"), ("datasets", "check, list, prepare"), ("weights", "list, prepare")],
)
def test_an_unknown_subcommand_names_those_that_exist(retbench: RunCommand, group: str, commands: str) -> None:
    result = retbench(group, "lst")
    assert result.code == 2
    assert f"unknown command: got 'lst', expected one of {commands}; nearest: list\n" in result.err


def test_an_unknown_option_is_a_usage_error(retbench: RunCommand) -> None:
    assert retbench("run", "toy.yaml", "--sets", "a=1").code == 2


@pytest.mark.parametrize(
    "command",
    ["plugins list", "plugins show", "datasets list", "datasets check", "datasets prepare", "weights list", "verify"],
)
def test_help_leaves_out_a_store_option_without_effect(retbench: RunCommand, command: str) -> None:
    result = retbench(*command.split(), "--help")
    assert result.code == 0
    assert "--store" not in result.out


def test_a_store_option_without_effect_is_accepted(retbench: RunCommand) -> None:
    assert retbench("plugins", "list", "--store", "elsewhere").code == 0


def test_the_version_is_printed(retbench: RunCommand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.metadata.version", lambda name: f"version of {name}")
    assert "version of retbench" in retbench("--version").out


@pytest.mark.parametrize(
    ("old", "new", "location", "message"),
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
def test_an_error_in_a_suite_is_one_line_with_its_location(
    retbench: RunCommand, change: Callable[[str, str], None], old: str, new: str, location: str, message: str
) -> None:
    change(old, new)
    result = retbench("run", "toy.yaml")
    assert result.code == 2
    assert len(result.err.strip().splitlines()) == 1
    assert location in result.err
    assert message in result.err


def test_an_unknown_profile_is_named(retbench: RunCommand) -> None:
    result = retbench("plan", "toy.yaml", "--profile", "papr")
    assert (result.code, "papr" in result.err) == (2, True)


def test_a_missing_suite_names_the_files_in_its_folder(retbench: RunCommand) -> None:
    result = retbench("run", "toi.yaml")
    assert result.code == 2
    assert "nearest: toy.yaml" in result.err


def test_an_unknown_device_is_one_line(retbench: RunCommand) -> None:
    result = retbench("run", "toy.yaml", "--device", "tpu9")
    assert result.code == 2
    assert "--device" in result.err
    assert len(result.err.strip().splitlines()) == 1


def test_a_bug_is_a_traceback(retbench: RunCommand, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr("retbench.study.opening.open", broken)
    with pytest.raises(ZeroDivisionError):
        retbench("plan", "toy.yaml")


def test_an_error_that_the_user_did_not_cause_exits_with_1(
    retbench: RunCommand, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object, **__: object) -> None:
        raise RetbenchError("store: gone")

    monkeypatch.setattr("retbench.study.opening.open", failing)
    result = retbench("plan", "toy.yaml")
    assert (result.code, result.err) == (1, "error: store: gone\n")


@pytest.mark.parametrize("command", [("plan", "toy.yaml"), ("results", "toy.yaml"), ("report", "toy.yaml")])
def test_a_store_that_is_a_file_is_refused(retbench: RunCommand, command: tuple[str, ...]) -> None:
    result = retbench(*command, "--store", "toy.yaml")
    assert result.code == 2
    assert "not a folder" in result.err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--set", "shard=0"), "--set shard=0: shard: input should be greater than or equal to 1: got 0"),
        (("--set", "shard"), "--set: expected path.to.option=value, got 'shard'"),
        (("--only", "attack"), "--only: expected axis=value[,value], got 'attack'"),
        (("--only", "attack=toi"), "--only: attack of this matrix: unknown name: got 'toi'"),
        (("--plugin", "nowhere.py"), "--plugin "),
        (("--device", "tpu9"), "--device: "),
        (("--store", "toy.yaml"), "store toy.yaml: not a folder; choose another with --store DIR"),
    ],
)
def test_messages_of_the_command_line_name_the_flag(
    retbench: RunCommand, options: tuple[str, ...], message: str
) -> None:
    result = retbench("plan", "toy.yaml", *options)
    assert result.code == 2
    assert result.err.startswith(f"error: {message}")
