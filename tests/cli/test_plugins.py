"""`retbench plugins`: components, options, and what is broken."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from retbench.testing import write_plugin

from .conftest import Retbench


def test_the_json_lists_components_with_their_origin(retbench: Retbench) -> None:
    told = json.loads(retbench("plugins", "list", "--json").out)
    entry = next(c for c in told["components"] if (c["kind"], c["name"]) == ("attack", "toy"))
    assert (entry["revision"], entry["source"], entry["origin"]) == (1, "made for tests", "toys 0.1")
    assert told["broken"] == []


def test_a_plugin_that_does_not_import_is_listed_and_stops_nobody(
    retbench: Retbench, toys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_plugin(toys / "plugins", "ruins", "ruins_module", "import a_module_that_is_not_there\n")
    monkeypatch.setenv("RETBENCH_PLUGINS", "toys,ruins")
    told = json.loads(retbench("plugins", "list", "--json").out)
    assert any(c["name"] == "toy" for c in told["components"])
    assert told["broken"][0]["origin"] == "ruins 0.1"
    assert "a_module_that_is_not_there" in told["broken"][0]["error"]
    assert "broken: ruins 0.1" in retbench("plugins", "list").out
    assert retbench("run", "toy.yaml").code == 0


def test_two_distributions_of_one_name_are_refused(
    retbench: Retbench, toys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_plugin(toys / "plugins", "more-toys", "retbench.testing.toy_plugin")
    monkeypatch.setenv("RETBENCH_PLUGINS", "toys,more-toys")
    ended = retbench("plan", "toy.yaml")
    assert ended.code == 2
    assert "toys 0.1" in ended.err
    assert "more-toys 0.1" in ended.err


def test_show_prints_options_with_ranges(retbench: Retbench) -> None:
    out = retbench("plugins", "show", "toy").out
    assert "number >0 <=1" in out
    assert "radius of the L-infinity ball" in out


def test_show_prints_the_options_of_an_option(monkeypatch: pytest.MonkeyPatch, retbench: Retbench) -> None:
    monkeypatch.delenv("RETBENCH_PLUGINS", raising=False)
    out = retbench("plugins", "show", "ddpm").out
    assert re.search(r"^training\.steps +integer >=1 +2000 +gradient steps", out, re.MULTILINE)
    assert not re.search(r"^training ", out, re.MULTILINE)


def test_show_of_an_unknown_name_names_the_nearest(retbench: Retbench) -> None:
    ended = retbench("plugins", "show", "toi")
    assert ended.code == 2
    assert "nearest: toy" in ended.err
