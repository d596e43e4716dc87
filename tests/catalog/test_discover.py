"""Discovery of plugins in real distributions, some of them broken."""

from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType

import pytest

from retbench import hookimpl
from retbench.catalog import BrokenPlugin, Discovery, Origin, discover
from retbench.testing.plugin_folder import write_plugin

Find = Callable[[], Discovery]
GOOD = """
from retbench import hookimpl
from retbench.testing import toys

@hookimpl
def retbench_attacks():
    return [toys.ToyAttack]
"""


def only_broken(discovery: Discovery) -> BrokenPlugin:
    """Return the only broken plugin after checking that there is no other plugin."""
    assert list(discovery.plugins) == []
    (broken,) = discovery.broken
    return broken


def test_an_installed_plugin_is_found_with_its_origin(site: Path, find_plugins: Find) -> None:
    write_plugin(site, "sturdy-plugin", "sturdy_module", GOOD)
    discovery = find_plugins()
    assert [(str(origin), module.__name__) for origin, module in discovery.plugins] == [
        ("sturdy-plugin 0.1", "sturdy_module")
    ]
    assert discovery.broken == []


def test_without_plugins_the_discovery_is_empty(site: Path, find_plugins: Find) -> None:
    assert find_plugins() == Discovery([], [])


def test_plugins_on_the_import_path_are_discovered_by_default(site: Path) -> None:
    write_plugin(site, "sturdy-plugin", "sturdy_module", GOOD)
    write_plugin(site, "brittle-plugin", "brittle_module", "1 / 0")
    discovery = discover()
    assert Origin("sturdy-plugin", "0.1") in dict(discovery.plugins)
    assert Origin("brittle-plugin", "0.1") in dict(discovery.broken)


def test_other_entry_point_groups_are_ignored(site: Path) -> None:
    write_plugin(site, "foreign", "foreign_module", "raise RuntimeError('not ours')")
    (site / "foreign-0.1.dist-info" / "entry_points.txt").write_text("[pytest11]\nforeign = foreign_module\n")
    assert "foreign" not in {origin.distribution for origin, _ in discover().broken}


def test_plugins_are_sorted_by_name(site: Path, find_plugins: Find) -> None:
    for name in ("zeta", "alpha", "mid"):
        write_plugin(site, name, f"{name}_module", GOOD)
    assert [origin.distribution for origin, _ in find_plugins().plugins] == ["alpha", "mid", "zeta"]


def test_every_entry_point_of_a_distribution_is_loaded(site: Path, find_plugins: Find) -> None:
    write_plugin(site, "twin", "twin_one", GOOD)
    write_plugin(site, "twin", "twin_two", GOOD)
    points = "[retbench]\ntwin-b = twin_two\ntwin-a = twin_one\n"
    (site / "twin-0.1.dist-info" / "entry_points.txt").write_text(points)
    assert [module.__name__ for _, module in find_plugins().plugins] == ["twin_one", "twin_two"]


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("import a_module_that_nobody_has", "ModuleNotFoundError: No module named 'a_module_that_nobody_has'"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("def (", "SyntaxError"),
        ("raise SystemExit('needs a license')", "SystemExit: needs a license"),
        ("from retbench import Hashers", "AttributeError|ImportError"),
    ],
)
def test_a_plugin_that_does_not_import_does_not_affect_others(
    site: Path, find_plugins: Find, source: str, reason: str
) -> None:
    write_plugin(site, "brittle", "brittle_module", source)
    write_plugin(site, "sturdy", "sturdy_module", GOOD)
    discovery = find_plugins()
    assert [origin.distribution for origin, _ in discovery.plugins] == ["sturdy"]
    (broken,) = discovery.broken
    assert broken.origin == Origin("brittle", "0.1")
    assert broken.error.startswith("brittle_module does not import: ")
    assert any(each in broken.error for each in reason.split("|"))


def test_a_missing_module_is_a_broken_plugin(site: Path, find_plugins: Find) -> None:
    write_plugin(site, "hollow", "hollow_module")
    assert "hollow_module does not import: ModuleNotFoundError" in only_broken(find_plugins()).error


def test_ctrl_c_during_an_import_is_not_caught(site: Path, find_plugins: Find) -> None:
    write_plugin(site, "slow", "slow_module", "raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        find_plugins()


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (
            "import retbench\n@retbench.hookimpl\ndef retbench_hasher(): return []",
            "it implements a hook that does not exist: got retbench_hasher, expected one of retbench_attacks, "
            "retbench_datasets, retbench_defenses, retbench_event, retbench_hashers; nearest: retbench_hashers",
        ),
        ("def retbench_hashers(): return []", "retbench_hashers is not marked with @retbench.hookimpl"),
        ("def retbench_hasher(): return []", "it implements no hook; mark a function with @retbench.hookimpl"),
        ("", "it implements no hook; mark a function with @retbench.hookimpl"),
        (
            "import retbench\n@retbench.hookimpl\ndef retbench_hashers(bits): return []",
            "hook 'retbench_hashers'; hookimpl definition: retbench_hashers(bits); Argument(s) {'bits'} are "
            "declared in the hookimpl but can not be found in the hookspec; expected retbench_hashers()",
        ),
        (
            "import retbench\n@retbench.hookimpl\ndef retbench_event(happening): ...",
            "hook 'retbench_event'; hookimpl definition: retbench_event(happening); Argument(s) {'happening'} are "
            "declared in the hookimpl but can not be found in the hookspec; expected retbench_event(event)",
        ),
        (
            "import retbench\n@retbench.hookimpl\ndef retbench_event(): ...",
            "retbench_event has wrong arguments: got (), expected (event)",
        ),
    ],
)
def test_a_plugin_with_a_wrong_hook_is_broken(site: Path, find_plugins: Find, source: str, reason: str) -> None:
    write_plugin(site, "wrong", "wrong_module", source)
    broken = only_broken(find_plugins())
    assert broken.origin == Origin("wrong", "0.1")
    assert broken.error.startswith("wrong_module: ")
    assert reason in broken.error
    assert "\n" not in broken.error


def test_a_hook_may_have_more_arguments_with_defaults(site: Path, find_plugins: Find) -> None:
    source = "import retbench\n@retbench.hookimpl\ndef retbench_event(event, log=print): ..."
    write_plugin(site, "easy", "easy_module", source)
    assert find_plugins().broken == []


def test_an_entry_point_that_does_not_name_a_module_is_broken(site: Path, find_plugins: Find) -> None:
    write_plugin(site, "pointed", "pointed_module", GOOD)
    points = "[retbench]\npointed = pointed_module:retbench_attacks\n"
    (site / "pointed-0.1.dist-info" / "entry_points.txt").write_text(points)
    assert "the entry point must name a module: got function" in only_broken(find_plugins()).error


def test_objects_with_every_attribute_are_not_hooks(site: Path, find_plugins: Find) -> None:
    write_plugin(site, "busy", "busy_module", GOOD + "from torch import ops\nfrom unittest.mock import call\n")
    assert find_plugins().broken == []


@pytest.mark.parametrize(
    ("hidden", "reason"),
    [
        ("return ['later']", "it implements no hook; mark a function with @retbench.hookimpl"),
        ("raise ImportError('no names today')", "its names cannot be read: ImportError: no names today"),
    ],
)
def test_a_module_whose_names_cannot_be_read_is_broken_alone(
    site: Path, find_plugins: Find, hidden: str, reason: str
) -> None:
    unreadable = f"\ndef __dir__(): {hidden}\n\ndef __getattr__(name): raise ImportError(f'no {{name}} today')\n"
    write_plugin(site, "lazy", "lazy_module", GOOD + unreadable)
    write_plugin(site, "sturdy", "sturdy_module", GOOD)
    discovery = find_plugins()
    assert [origin.distribution for origin, _ in discovery.plugins] == ["sturdy"]
    assert [broken.error for broken in discovery.broken] == [f"lazy_module: {reason}"]


def test_an_invalid_plugin_is_not_registered(site: Path, find_plugins: Find) -> None:
    two = GOOD + "\n@hookimpl\ndef retbench_{hook}: ...\n"
    for name, hook in (("unknown", "hasher()"), ("wrong", "hashers(bits)"), ("fewer", "event()")):
        write_plugin(site, name, f"{name}_module", two.replace("{hook}", hook))
    write_plugin(site, "sturdy", "sturdy_module", GOOD)
    discovery = find_plugins()
    assert [origin.distribution for origin, _ in discovery.broken] == ["fewer", "unknown", "wrong"]
    assert {module.__name__ for module in discovery.manager.get_plugins()} == {"sturdy_module"}
    assert [each.plugin.__name__ for each in discovery.manager.hook.retbench_attacks.get_hookimpls()] == [
        "sturdy_module"
    ]
    discovery.manager.check_pending()


def test_a_function_may_implement_a_hook_under_another_name(site: Path, find_plugins: Find) -> None:
    source = "import retbench\n@retbench.hookimpl(specname='retbench_event')\ndef watch(event): ..."
    write_plugin(site, "renamed", "renamed_module", source)
    discovery = find_plugins()
    ((_, module),) = discovery.plugins
    assert len(discovery.hook("retbench_event", module).get_hookimpls()) == 1


def test_an_optional_hook_may_be_unknown(site: Path, find_plugins: Find) -> None:
    source = GOOD + "\n@hookimpl(optionalhook=True)\ndef retbench_reports(): return []\n"
    write_plugin(site, "ahead", "ahead_module", source)
    assert find_plugins().broken == []


def test_a_hook_is_called_in_one_plugin_only(site: Path, find_plugins: Find) -> None:
    for name in ("alpha", "beta"):
        write_plugin(site, name, f"{name}_module", GOOD.replace("toys.ToyAttack", repr(name)))
    write_plugin(site, "gamma", "gamma_module", GOOD.replace("retbench_attacks", "retbench_hashers"))
    discovery = find_plugins()
    found = [discovery.hook("retbench_attacks", module)() for _, module in discovery.plugins]
    assert found == [[["alpha"]], [["beta"]], []]


def test_modules_passed_to_a_discovery_are_registered_and_checked() -> None:
    valid, empty = ModuleType("valid"), ModuleType("empty")
    vars(valid)["retbench_event"] = hookimpl(lambda event: None)
    plugins = [(Origin("one", "1"), valid), (Origin("two", "1"), empty)]
    discovery = Discovery(plugins, [BrokenPlugin(Origin("three", "1"), "broken before")])
    assert discovery.plugins == plugins[:1]
    assert discovery.manager.is_registered(valid)
    assert [str(origin) for origin, _ in discovery.broken] == ["three 1", "two 1"]


def test_the_environment_restricts_the_plugins(site: Path, find_plugins: Find, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("alpha", "beta", "gamma"):
        write_plugin(site, name, f"{name}_module", GOOD if name != "beta" else "1 / 0")
    monkeypatch.setenv("RETBENCH_PLUGINS", " gamma, alpha ,")
    discovery = find_plugins()
    assert [origin.distribution for origin, _ in discovery.plugins] == ["alpha", "gamma"]
    assert discovery.broken == []


def test_a_plugin_named_in_the_environment_but_not_installed_is_broken(
    site: Path, find_plugins: Find, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_plugin(site, "alpha", "alpha_module", GOOD)
    monkeypatch.setenv("RETBENCH_PLUGINS", "alpah")
    broken = only_broken(find_plugins())
    assert broken.origin.distribution == "alpah"
    assert broken.error == "named in RETBENCH_PLUGINS, but not installed"


def test_an_empty_restriction_restricts_nothing(
    site: Path, find_plugins: Find, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_plugin(site, "alpha", "alpha_module", GOOD)
    monkeypatch.setenv("RETBENCH_PLUGINS", " , ")
    assert len(find_plugins().plugins) == 1


def test_entry_points_may_come_from_any_iterable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETBENCH_PLUGINS", "toys")
    discovery = discover(EntryPoint("toys", "retbench.testing.toy_plugin", "retbench") for _ in range(1))
    assert [str(origin) for origin, _ in discovery.plugins] == ["toys ?"]
    assert discovery.broken == []
