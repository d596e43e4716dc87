"""Reading a suite file: profiles, `--set`, and the location of every error."""

import re
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml

from retbench.errors import SuiteError, UnknownName, UserError
from retbench.suite import LoadedSuite, find_suite, read_suite, shipped_suites

Load = Callable[..., LoadedSuite]
ReadError = Callable[..., str]

PROFILED = """
  attack: [none, toy]
  bits: [16, 32]
components: {attack: {toy: {eps: 0.1}}, defense: {toy: {strength: 0.1}}}
protocol: {queries: 5, targets: {seed: 3}}
profiles:
  paper:
    matrix: {attack: [faulty]}
    protocol: {queries: all, targets: {rule: uniform}}
    components: {attack: {toy: {eps: 0.2}, faulty: {}}}
    shard: 7
  same:
  7: {shard: 9}
"""


def test_a_minimal_suite_has_the_defaults(load: Load, tmp_path: Path) -> None:
    loaded = load()
    assert (loaded.suite.suite, loaded.suite.shard, loaded.suite.overrides) == ("trial", 50, ())
    assert loaded.suite.protocol.queries == "all"
    assert loaded.suite.report.layout == ("long",)
    assert (loaded.path, loaded.profile) == (tmp_path / "suite.yaml", "")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("◆protocl: {}\n", "protocl: unknown key: got 'protocl', expected one of components, .*; nearest: protocol"),
        ("◆profile: {}\n", "profile: unknown key: got 'profile', expected .* profiles, .*; nearest: profiles"),
        ("◆5: {}\n", "5: keys should be strings: got 5"),
        ("  ◆atack: toy\n", "matrix.atack: unknown key: got 'atack', expected one of attack, .*; nearest: attack"),
        ("  ◆5: toy\n", "matrix.5: keys should be strings: got 5"),
        ("  attack: [none,\n    ◆5]\n", "matrix.attack.1: expected a name, .*: got 5"),
        ("  attack:\n  - none\n  - ◆toy: {sweep: {eps: 3}}\n", "matrix.attack.1: expected toy: .*: got {'sweep'"),
        ("  attack:\n  - none\n  - ◆toy: {sweep: {eps: []}}\n", "matrix.attack.1: expected toy: .*: got"),
        ("  ◆attack: []\n", "matrix.attack: .* at least 1 item.*"),
        ("  ◆attack:\n", "matrix.attack: expected a name, .*: got None"),
        ("  ◆bits: []\n", "matrix.bits: .* at least 1 item.*"),
        ("  bits: [32,\n    ◆no]\n", "matrix.bits.1: input should be a valid integer: got 'no'"),
        ("  bits: [32, ◆0]\n", "matrix.bits.1: .* greater than or equal to 1: got 0"),
        ("  ◆bits: 5000\n", "matrix.bits: input should be less than or equal to 4096: got 5000"),
        ("  task: [i2i, ◆i2x]\n", "matrix.task.1: input should be 'i2i', 'i2t', 't2i' or 't2t': got 'i2x'"),
        ("  ◆threat: blind\n", "matrix.threat: input should be 'oblivious' or 'adaptive': got 'blind'"),
        ("  ◆exclude: toy\n", "matrix.exclude: .*: got 'toy'"),
        ("  exclude:\n  - ◆toy\n", "matrix.exclude.0: expected a mapping of axes: got 'toy'"),
        ("  include:\n  - ◆atack: toy\n", "matrix.include.0.atack: unknown key: .*; nearest: attack, task"),
        ("components:\n  ◆atack: {}\n", "components.atack: .*'attack' or 'defense': got 'atack'"),
        ("components:\n  ◆attack: toy\n", "components.attack: .* dictionary: got 'toy'"),
        ("components: {attack: {◆toy: 5}}\n", "components.attack.toy: .* dictionary: got 5"),
        ("components: {attack: {◆5: {}}}\n", "components.attack.5: .* string: got 5"),
        ("components: {attack: {toy: {◆5: 1}}}\n", "components.attack.toy.5: .* string: got 5"),
        ("overrides:\n- ◆when: {}\n", "overrides.0: overrides.0.components is missing"),
        ("overrides:\n- components: {}\n  ◆whem: {}\n", "overrides.0.whem: unknown key: .*; nearest: when"),
        ("◆overrides: {}\n", "overrides: .*: got {}"),
        ("protocol:\n  ◆queries: 0\n", "protocol.queries: input should be greater than or equal to 1: got 0"),
        ("protocol:\n  ◆ties: random\n", "protocol.ties: input should be .*: got 'random'"),
        (
            "protocol:\n  targets: {◆rul: uniform}\n",
            "protocol.targets.rul: unknown key: .* above, file, rule, seed; nearest: rule",
        ),
        ("◆protocol: {map: top-k}\n", "protocol: depth: required by every map but full: got map=top-k, depth=None"),
        ("◆protocol: full\n", "protocol: .*: got 'full'"),
        ("◆shard: 0\n", "shard: input should be greater than or equal to 1: got 0"),
        (
            "report: {◆layouts: long}\n",
            "report.layouts: unknown key: got 'layouts', expected one of claims, layout; nearest: layout",
        ),
        ("◆description: 5\n", "description: input should be a valid string: got 5"),
        ("◆profiles: paper\n", "profiles: expected a mapping of names: got 'paper'"),
    ],
)
def test_an_error_names_file_line_and_column(read_error: ReadError, text: str, message: str) -> None:
    assert re.fullmatch(message + ".*", read_error(text))


@pytest.mark.parametrize(
    ("head", "message"),
    [
        ("◆matrix: {dataset: toy, hasher: toy}\n", "suite is missing"),
        ("◆suite: trial\n", "matrix is missing"),
        ("suite: trial\n◆matrix: {hasher: toy}\n", "matrix: matrix.dataset is missing"),
        ("suite: trial\n◆matrix: {dataset: toy}\n", "matrix: matrix.hasher is missing"),
        ("suite: trial\n◆matrix:\n", "matrix: .*: got None"),
        ("suite: trial\n◆matrix: [toy]\n", "matrix: .*: got .'toy'."),
        ("◆suite: Trial Run\nmatrix: {dataset: toy, hasher: toy}\n", "suite: .* pattern .*: got 'Trial Run'"),
        ("◆- suite\n", "the file must be a mapping: got a list"),
        ("suite: trial\n◆suite: again\n", "repeated key: got 'suite' twice in one mapping"),
    ],
)
def test_a_missing_or_malformed_top_level_key_is_named(read_error: ReadError, head: str, message: str) -> None:
    assert re.fullmatch(message, read_error("", head=head))


def test_a_profile_merges_maps_and_replaces_lists(load: Load) -> None:
    suite = load(PROFILED, "paper").suite
    assert [choice.label for choice in suite.matrix.attack] == ["faulty"]
    assert suite.matrix.bits == (16, 32)
    assert suite.components["attack"] == {"toy": {"eps": 0.2}, "faulty": {}}
    assert suite.components["defense"] == {"toy": {"strength": 0.1}}
    assert (suite.protocol.queries, suite.protocol.targets.rule, suite.protocol.targets.seed) == ("all", "uniform", 3)
    assert suite.shard == 7


@pytest.mark.parametrize("profile", ["", "same"])
def test_an_empty_profile_changes_nothing(load: Load, profile: str) -> None:
    loaded = load(PROFILED, profile)
    assert loaded.suite == load(PROFILED).suite
    assert (loaded.suite.shard, loaded.suite.protocol.queries, loaded.profile) == (50, 5, profile)


def test_the_name_of_a_profile_may_be_a_number(load: Load) -> None:
    assert load(PROFILED, "7").suite.shard == 9


def test_an_unknown_profile_is_refused_with_the_nearest_name(load: Load) -> None:
    with pytest.raises(
        UnknownName, match=r"^profile: unknown name: got 'papr', expected one of 7, paper, same; nearest: paper$"
    ):
        load(PROFILED, "papr")
    with pytest.raises(UnknownName, match=r"^profile: unknown name: got 'paper', but none are defined$"):
        load("", "paper")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("profiles:\n  big:\n    matrix: {attack: [none, ◆5]}\n", "matrix.attack.1: expected a name"),
        ("profiles:\n  big:\n    ◆sard: 5\n", "sard: unknown key: got 'sard'"),
        ("profiles:\n  big:\n    ◆profiles: {}\n", "profiles: unknown key: got 'profiles'"),
        ("profiles:\n  ◆big: [1]\n", "profiles.big: expected a mapping: got [1]"),
        ("protocol: {queries: 5}\nprofiles:\n  big:\n    protocol: {◆depths: 5}\n", "protocol.depths: unknown key"),
    ],
)
def test_an_error_in_a_profile_is_located_there(read_error: ReadError, text: str, message: str) -> None:
    assert read_error(text, profile="big").startswith(message)


@pytest.mark.parametrize(
    ("assignment", "path", "value"),
    [
        ("protocol.queries=7", "protocol.queries", 7),
        ("protocol.targets.seed=9", "protocol.targets.seed", 9),
        ("matrix.bits=16", "matrix.bits", (16,)),
        ("matrix.bits=[16, 64]", "matrix.bits", (16, 64)),
        ("shard=3", "shard", 3),
        (" shard = 3", "shard", 3),
        ("description=a=b", "description", "a=b"),
        ("description='5'", "description", "5"),
        ("report.layout=wide", "report.layout", ("wide",)),
        ("protocol.confidence=1/2", "protocol.confidence", 0.5),
    ],
)
def test_set_changes_one_value(load: Load, assignment: str, path: str, value: Any) -> None:
    found: Any = load("protocol: {queries: 5}\n", sets=[assignment]).suite
    for step in path.split("."):
        found = getattr(found, step)
    assert found == value


def test_set_wins_over_the_profile_and_the_last_set_wins(load: Load) -> None:
    loaded = load(PROFILED, "paper", ["shard=3", "protocol.queries=2", "shard=4"])
    assert (loaded.suite.shard, loaded.suite.protocol.queries) == (4, 2)
    assert loaded.suite.protocol.targets.rule == "uniform"


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("shard", "set: expected path.to.option=value, got 'shard'"),
        ("=3", "set: expected path.to.option=value, got '=3'"),
        ("a..b=3", "set: expected path.to.option=value, got 'a..b=3'"),
        ("", "set: expected path.to.option=value, got ''"),
        ("shard=0", "set shard=0: shard: input should be greater than or equal to 1: got 0"),
        ("shard=", "set shard=: shard: input should be a valid integer: got None"),
        ("shard.more=1", "set shard.more=1: shard is not a mapping"),
        ("protocol.foo=1", "set protocol.foo=1: protocol.foo: unknown key: got 'foo', expected one of confidence, "),
        ("protocl.ties=best", "set protocl.ties=best: protocl: unknown key: got 'protocl', expected one of "),
        ("report.rows.order=1", "set report.rows.order=1: report.rows: unknown key: got 'rows'"),
        ("matrix.bits.0=16", "set matrix.bits.0=16: matrix.bits is not a mapping"),
        ("matrix.bits=[16", "set matrix.bits=[16:1:4: not valid YAML: "),
        ("matrix.atack=toy", "set matrix.atack=toy: matrix.atack: unknown key: got 'atack'"),
        ("matrix.attack=[none, 5]", "set matrix.attack=[none, 5]: matrix.attack.1: expected a name"),
        ("components.atack.toy.eps=1", "set components.atack.toy.eps=1: components: unknown name: "),
        ("components.attack.toy=5", "set components.attack.toy=5: components.attack.toy: input should"),
    ],
)
def test_the_error_of_a_bad_set_is_one_line_that_begins_with_it(load: Load, assignment: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        load("  bits: [32]\nshard: 5\n", sets=[assignment])
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_set_of_an_option_needs_a_list_of_overrides(load: Load) -> None:
    with pytest.raises(SuiteError, match=r"suite.yaml:5:1: overrides: expected a list: got {}"):
        load("overrides: {}\n", sets=["components.attack.toy.eps=0.1"])


def test_a_suite_is_found_by_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("mine.yaml", "mine.yml", "mine"):
        (tmp_path / name).write_text("suite: mine\n")
        assert find_suite(str(tmp_path / name)) == tmp_path / name
    monkeypatch.chdir(tmp_path)
    assert find_suite("mine.yaml").read_text() == "suite: mine\n"


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder that replaces the suites of the installed package; it has `smoke` and `unimodal`."""
    folder = tmp_path / "wheel" / "retbench" / "suites"
    folder.mkdir(parents=True)
    for name in ("unimodal", "smoke"):
        (folder / f"{name}.yaml").write_text(f"suite: {name}\n")
    monkeypatch.setattr(import_module("retbench.suite.read"), "files", lambda package: folder.parent)
    return folder


def test_a_shipped_suite_is_found_by_name(shipped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert list(shipped_suites()) == ["smoke", "unimodal"]
    assert find_suite("smoke") == shipped / "smoke.yaml"
    (tmp_path / "smoke").mkdir()
    monkeypatch.chdir(tmp_path)
    assert find_suite("smoke") == shipped / "smoke.yaml"


def test_suites_of_a_checkout_are_found_next_to_the_package(shipped: Path) -> None:
    checkout = shipped.parent.parent / "suites"
    shipped.rename(checkout)
    assert find_suite("unimodal") == checkout / "unimodal.yaml"


def test_an_installation_without_suites_has_no_shipped_suites(shipped: Path) -> None:
    shipped.rename(shipped.with_name("elsewhere"))
    assert shipped_suites() == {}


@pytest.mark.parametrize("name", ["unimodl", "Unimodal", "some/unimodal"])
def test_an_unknown_suite_is_refused_with_the_nearest_name(shipped: Path, name: str) -> None:
    with pytest.raises(
        UnknownName, match=f"suite: unknown name: got '{name}', expected one of smoke, unimodal; nearest: unimodal"
    ):
        find_suite(name)


def test_the_error_of_a_missing_file_lists_its_neighbors(shipped: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("suite: mine\n")
    with pytest.raises(UnknownName) as caught:
        find_suite(str(tmp_path / "mime.yaml"))
    assert caught.value.choices == [str(tmp_path / "mine.yaml"), "smoke", "unimodal"]
    assert str(caught.value).endswith(f"nearest: {tmp_path / 'mine.yaml'}")
    with pytest.raises(UnknownName, match="no such file"):
        find_suite(str(tmp_path / "nowhere" / "mine.yaml"))


def test_hidden_files_are_not_suggested(shipped: Path, tmp_path: Path) -> None:
    (tmp_path / ".mine.yaml").write_text("repos: []\n")
    with pytest.raises(UnknownName) as caught:
        find_suite(str(tmp_path / "mine.yaml"))
    assert caught.value.choices == ["smoke", "unimodal"]


def test_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "folder.yaml").mkdir()
    with pytest.raises(UnknownName, match="no such file"):
        find_suite(str(tmp_path / "folder.yaml"))


@pytest.mark.parametrize("name", sorted(shipped_suites()))
def test_every_shipped_suite_can_be_read_with_every_profile(name: str) -> None:
    path = find_suite(name)
    assert read_suite(path).suite.suite == name
    for profile in yaml.safe_load(path.read_text()).get("profiles") or {}:
        assert read_suite(path, profile).profile == profile
