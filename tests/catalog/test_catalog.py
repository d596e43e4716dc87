"""Components by kind and name, with their origin."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import pytest

from retbench import hookimpl
from retbench.catalog import Catalog, Discovery, Origin, load_catalog
from retbench.contracts import Attack, Context, Event, Hasher, Knowledge, State
from retbench.errors import DuplicateComponent, OptionError, UnknownName, UserError
from retbench.testing.plugin_folder import write_plugin
from retbench.testing.toys import TOYS, ToyAttack, ToyHasher, ToyPart, ToyPurifier

Find = Callable[[], Discovery]
HOOK = """
from typing import ClassVar
from retbench import hookimpl
from retbench.testing.toys import ToyAttack, ToyHasher

class Other(ToyAttack):
    name: ClassVar[str] = "other"

class Faceless:
    pass

@hookimpl
def retbench_attacks():
    return {returned}
"""


def write_attacks(site: Path, distribution: str, returned: str) -> None:
    write_plugin(site, distribution, f"{distribution}_module", HOOK.replace("{returned}", returned))


def test_the_components_of_a_plugin_are_there_with_their_origin(site: Path, find_plugins: Find) -> None:
    write_plugin(site, "toys", "retbench.testing.toy_plugin")
    catalog = Catalog(find_plugins())
    assert catalog.broken == []
    assert list(catalog.entries()) == sorted((component.kind, component.name) for component in TOYS)
    assert {entry.origin for entry in catalog.entries().values()} == {Origin("toys", "0.1")}
    assert catalog.entry("attack", "toy").component is ToyAttack
    assert catalog.names("defense") == ["faulty", "toy", "toy-hardening"]
    assert catalog.names("part") == []


def test_installed_plugins_are_in_the_loaded_catalog(site: Path) -> None:
    write_attacks(site, "others", "[Other]")
    assert load_catalog().entry("attack", "other").origin == Origin("others", "0.1")


@pytest.mark.parametrize(
    ("returned", "reason"),
    [
        ("[Other, ToyHasher]", "it must return classes of Attack: got <class 'retbench.testing.toys.ToyHasher'>"),
        ("[Other, Faceless]", "it must return classes of Attack: got <class"),
        ("[Other()]", "it must return classes of Attack: got Other("),
        ("['other']", "it must return classes of Attack: got 'other'"),
        ("[type('Half', (ToyAttack.__mro__[1],), {'name': 'half', 'source': 'here'})]", "Half lacks ball, perturb"),
        (
            "[type('Bad', (ToyAttack,), {'name': 'Bad Name'})]",
            "Bad.name must be lower-case words with dashes, not 'none': got 'Bad Name'",
        ),
        ("[type('Bad', (ToyAttack,), {'name': ''})]", "got ''"),
        ("[type('Bad', (ToyAttack,), {'name': 'trailing-'})]", "got 'trailing-'"),
        ("[type('Bad', (ToyAttack,), {'name': 'a+b'})]", "got 'a+b'"),
        ("[type('Bad', (ToyAttack,), {'name': 'none'})]", "not 'none': got 'none'"),
        ("[type('Bad', (ToyAttack,), {'source': ''})]", "Bad.source must name the paper or the origin it follows"),
        ("1 / 0", "retbench_attacks failed: ZeroDivisionError: division by zero"),
        ("exit(3)", "retbench_attacks failed: SystemExit: 3"),
        ("None", "retbench_attacks failed: TypeError: it must return a list of classes: got None"),
        ("Other", "retbench_attacks failed: TypeError"),
    ],
)
def test_a_plugin_that_offers_what_is_no_component_is_set_aside_whole(
    site: Path, find_plugins: Find, returned: str, reason: str
) -> None:
    write_attacks(site, "strange", returned)
    write_plugin(site, "toys", "retbench.testing.toy_plugin")
    catalog = Catalog(find_plugins())
    (broken,) = catalog.broken
    assert broken.origin == Origin("strange", "0.1")
    assert reason in broken.error
    assert catalog.names("attack") == ["faulty", "toy", "toy-untargeted"]


DECLARED = """
from typing import ClassVar
from retbench import hookimpl
from retbench.testing import toys

class Restless:
    def fit(self, known, ctx):
        return {}

class Rated:
    def loss(self, outputs, labels, rows, memory):
        return outputs.sum()

class Unrated:
    loss = toys.Hasher.loss

@hookimpl
def retbench_{kind}s():
    return [type("Made", ({bases}), {"name": "made", {attributes}})]
"""


@pytest.mark.parametrize(
    ("kind", "bases", "attributes", "problem"),
    [
        ("attack", "toys.ToyAttack,", "", None),
        ("attack", "Restless, toys.ToyAttack", "'learns': True", None),
        ("attack", "Restless, toys.ToyAttack", "", "defines `fit`: got learns = False, expected learns = True"),
        ("attack", "toys.ToyAttack,", "'learns': True", "does not define `fit`: got learns = True, expected learns = "),
        ("defense", "Restless, toys.ToyPurifier", "'learns': True", None),
        ("defense", "Restless, toys.ToyPurifier", "", "defines `fit`: got learns = False, expected learns = True"),
        ("defense", "toys.ToyPurifier,", "'learns': True", "does not define `fit`: got learns = True, expected"),
        ("defense", "toys.ToyHardening,", "", None),
        ("hasher", "Rated, toys.ToyHasher", "'supervised': True", None),
        ("hasher", "Unrated, toys.ToyHasher", "'supervised': False", None),
        (
            "hasher",
            "Rated, toys.ToyHasher",
            "'supervised': False",
            "defines `loss`: got supervised = False, expected supervised = True",
        ),
        (
            "hasher",
            "Unrated, toys.ToyHasher",
            "'supervised': True",
            "does not define `loss`: got supervised = True, expected supervised = False",
        ),
    ],
)
def test_what_a_class_declares_must_agree_with_its_methods(
    site: Path, find_plugins: Find, kind: str, bases: str, attributes: str, problem: str | None
) -> None:
    source = DECLARED.replace("{kind}", kind).replace("{bases}", bases).replace("{attributes}", attributes)
    write_plugin(site, "declared", "declared_module", source)
    catalog = Catalog(find_plugins())
    assert catalog.names(kind) == ([] if problem else ["made"])
    assert len(catalog.broken) == bool(problem)
    for broken in catalog.broken:
        assert broken.error.startswith(f"retbench_{kind}s: Made {problem}")


def test_a_method_that_a_class_inherits_from_another_component_counts() -> None:
    class Fitted(ToyAttack):
        name: ClassVar[str] = "fitted"
        learns: ClassVar[bool] = True

        def fit(self, knowledge: Knowledge, ctx: Context) -> State:
            return {}

    class Heir(Fitted):
        name: ClassVar[str] = "heir"

    offered = ModuleType("offered")
    vars(offered)["retbench_attacks"] = hookimpl(lambda: [Fitted, Heir])
    catalog = Catalog(Discovery([(Origin("heirs", "1"), offered)]))
    assert catalog.broken == []
    assert catalog.names("attack") == ["fitted", "heir"]


def test_one_module_of_two_distributions_is_an_error_that_names_both(site: Path, find_plugins: Find) -> None:
    write_plugin(site, "first", "retbench.testing.toy_plugin")
    write_plugin(site, "second", "retbench.testing.toy_plugin")
    with pytest.raises(DuplicateComponent, match=r"got first 0\.1 and second 0\.1"):
        Catalog(find_plugins())


def test_a_function_under_another_name_offers_components_too(site: Path, find_plugins: Find) -> None:
    more = "\n\n@hookimpl(specname='retbench_attacks')\ndef more_attacks():\n    return [Third]\n\n"
    third = "class Third(ToyAttack):\n    name: ClassVar[str] = 'third'\n"
    write_attacks(site, "several", f"[Other]{more}{third}")
    catalog = Catalog(find_plugins())
    assert catalog.broken == []
    assert catalog.names("attack") == ["other", "third"]


def test_two_distributions_of_one_name_are_an_error_that_names_both(site: Path, find_plugins: Find) -> None:
    write_attacks(site, "first", "[Other]")
    write_attacks(site, "second", "[Other]")
    with pytest.raises(DuplicateComponent) as caught:
        Catalog(find_plugins())
    assert str(caught.value) == (
        "plugins: two distributions offer attack 'other': got first 0.1 and second 0.1, expected one; "
        "uninstall one, or name the plugins to load in RETBENCH_PLUGINS"
    )
    assert isinstance(caught.value, UserError)


def test_the_restriction_settles_a_name_offered_twice(
    site: Path, find_plugins: Find, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_attacks(site, "first", "[Other]")
    write_attacks(site, "second", "[Other]")
    monkeypatch.setenv("RETBENCH_PLUGINS", "second")
    assert Catalog(find_plugins()).entry("attack", "other").origin == Origin("second", "0.1")


def test_one_name_in_two_kinds_is_no_duplicate() -> None:
    catalog = Catalog.of(ToyAttack, ToyHasher, ToyPurifier)
    assert list(catalog.entries()) == [("attack", "toy"), ("defense", "toy"), ("hasher", "toy")]


def test_an_unknown_name_is_an_error_with_the_nearest_one() -> None:
    catalog = Catalog.of(*TOYS)
    with pytest.raises(
        UnknownName, match=r"here: attack: unknown name: got 'fauly', expected one of .*nearest: faulty"
    ):
        catalog.entry("attack", "fauly", "here")
    with pytest.raises(UnknownName, match="catalog: hasher: unknown name: got 'faulty', expected one of toy"):
        catalog.create(Hasher, "faulty", {})


def test_components_are_created_with_their_options() -> None:
    catalog = Catalog.of(*TOYS)
    assert catalog.create(Attack, "toy", {"eps": 0.1}) == ToyAttack(eps=0.1)
    with pytest.raises(OptionError, match="attack toy: esp: unknown option: expected one of eps; nearest: eps"):
        catalog.create(Attack, "toy", {"esp": 0.1})


def test_the_origin_of_a_part_is_the_package_that_defines_it() -> None:
    catalog = Catalog.of(*TOYS)
    assert catalog.origin(ToyAttack()) == Origin("local", "0")
    assert catalog.origin(ToyPart()) == Origin("retbench", "?")


def test_observers_are_kept_with_their_origin(site: Path, find_plugins: Find) -> None:
    source = "from retbench import hookimpl\nseen = []\n@hookimpl\ndef retbench_event(event): seen.append(event)\n"
    write_plugin(site, "watcher", "watcher_module", source)
    catalog = Catalog(find_plugins())
    ((origin, watch),) = catalog.observers
    event = Event("finished")
    watch(event)
    assert origin == Origin("watcher", "0.1")
    assert vars(__import__("watcher_module"))["seen"] == [event]


def test_an_observer_is_called_for_its_own_plugin_alone(site: Path, find_plugins: Find) -> None:
    for name, then in (("first", "1 / 0"), ("second", "seen.append(event)")):
        source = f"from retbench import hookimpl\nseen = []\n@hookimpl\ndef retbench_event(event): {then}\n"
        write_plugin(site, name, f"{name}_module", source)
    (_, failing), (_, watching) = Catalog(find_plugins()).observers
    with pytest.raises(ZeroDivisionError):
        failing(Event("finished"))
    assert vars(__import__("second_module"))["seen"] == []
    watching(Event("finished"))
    assert vars(__import__("second_module"))["seen"] == [Event("finished")]


def test_the_observer_of_a_broken_plugin_does_not_watch(site: Path, find_plugins: Find) -> None:
    write_attacks(site, "strange", "[Faceless]\n\n@hookimpl\ndef retbench_event(event): ...")
    catalog = Catalog(find_plugins())
    assert catalog.observers == []
    assert len(catalog.broken) == 1


def test_a_class_offered_by_hand_twice_is_refused() -> None:
    class Again(ToyAttack):
        name: ClassVar[str] = "toy"

    again: Any = Again
    with pytest.raises(DuplicateComponent, match="attack 'toy'"):
        Catalog.of(ToyAttack, again)
