"""`retbench plugins`: components, their options, and broken plugins."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from retbench.testing import write_plugin

from .conftest import RunCommand


def test_the_json_lists_components_with_their_origin(retbench: RunCommand) -> None:
    record = json.loads(retbench("plugins", "list", "--json").out)
    entry = next(
        component for component in record["components"] if (component["kind"], component["name"]) == ("attack", "toy")
    )
    assert (entry["revision"], entry["source"], entry["origin"]) == (1, "made for tests", "toys 0.1")
    assert record["broken"] == []


def test_a_plugin_that_does_not_import_is_listed_and_stops_no_other(
    retbench: RunCommand, toys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_plugin(toys / "plugins", "ruins", "ruins_module", "import a_module_that_is_not_there\n")
    monkeypatch.setenv("RETBENCH_PLUGINS", "toys,ruins")
    record = json.loads(retbench("plugins", "list", "--json").out)
    assert any(component["name"] == "toy" for component in record["components"])
    assert record["broken"][0]["origin"] == "ruins 0.1"
    assert "a_module_that_is_not_there" in record["broken"][0]["error"]
    assert "broken: ruins 0.1" in retbench("plugins", "list").out
    assert retbench("run", "toy.yaml").code == 0


def test_two_plugins_with_components_of_one_name_are_refused(
    retbench: RunCommand, toys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_plugin(toys / "plugins", "more-toys", "retbench.testing.toy_plugin")
    monkeypatch.setenv("RETBENCH_PLUGINS", "toys,more-toys")
    result = retbench("plan", "toy.yaml")
    assert result.code == 2
    assert "toys 0.1" in result.err
    assert "more-toys 0.1" in result.err


def test_show_prints_options_with_ranges(retbench: RunCommand) -> None:
    out = retbench("plugins", "show", "toy").out
    assert "number >0 <=1" in out
    assert "radius of the L-infinity ball" in out


def test_show_prints_the_options_of_a_nested_component(monkeypatch: pytest.MonkeyPatch, retbench: RunCommand) -> None:
    monkeypatch.delenv("RETBENCH_PLUGINS", raising=False)
    out = retbench("plugins", "show", "ddpm").out
    assert re.search(r"^training\.steps +integer >=1 +2000 +gradient steps", out, re.MULTILINE)
    assert not re.search(r"^training ", out, re.MULTILINE)


def test_show_of_an_unknown_name_suggests_the_nearest(retbench: RunCommand) -> None:
    result = retbench("plugins", "show", "toi")
    assert result.code == 2
    count = len({line.split()[1] for line in retbench("plugins", "list").out.splitlines()[2:]})
    assert result.err.startswith(
        f"error: plugins show: unknown name: got 'toi', expected one of {count} names, see `retbench plugins list`; "
        "nearest: toy"
    )


def test_show_prints_the_access_of_an_attack(retbench: RunCommand) -> None:
    assert "\naccess: gradient\n" in retbench("plugins", "show", "toy").out
    assert "\naccess: decision, at most `query_budget` queries" in retbench("plugins", "show", "toy-decision").out
    (record,) = json.loads(retbench("plugins", "show", "toy-decision", "--json").out)
    assert record["access"] == "decision"
