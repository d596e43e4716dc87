"""Components by kind and name, with their origins."""

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

class NotAComponent:
    pass

@hookimpl
def retbench_attacks():
    return {returned}
"""


def write_attacks(site: Path, distribution: str, returned: str) -> None:
    write_plugin(site, distribution, f"{distribution}_module", HOOK.replace("{returned}", returned))


def test_the_catalog_contains_the_components_of_a_plugin_with_their_origin(site: Path, find_plugins: Find) -> None:
    write_plugin(site, "toys", "retbench.testing.toy_plugin")
    catalog = Catalog(find_plugins())
    assert catalog.broken == []
    assert list(catalog.entries()) == sorted((component.kind, component.name) for component in TOYS)
    assert {entry.origin for entry in catalog.entries().values()} == {Origin("toys", "0.1")}
    assert catalog.entry("attack", "toy").component is ToyAttack
    assert catalog.names("defense") == ["faulty", "toy", "toy-hardening"]
    assert catalog.names("part") == []


def test_the_loaded_catalog_contains_installed_plugins(site: Path) -> None:
    write_attacks(site, "others", "[Other]")
    assert load_catalog().entry("attack", "other").origin == Origin("others", "0.1")


@pytest.mark.parametrize(
    ("returned", "reason"),
    [
        ("[Other, ToyHasher]", "it must return classes of Attack: got <class 'retbench.testing.toys.ToyHasher'>"),
        ("[Other, NotAComponent]", "it must return classes of Attack: got <class"),
        ("[Other()]", "it must return classes of Attack: got Other("),
        ("['other']", "it must return classes of Attack: got 'other'"),
        (
            "[type('Half', (ToyAttack.__mro__[1],), {'name': 'half', 'source': 'here'})]",
            "Half does not define ball, perturb",
        ),
        (
            "[type('Bad', (ToyAttack,), {'name': 'Bad Name'})]",
            "Bad.name: got 'Bad Name', expected lower-case words joined by dashes, and not 'none'",
        ),
        ("[type('Bad', (ToyAttack,), {'name': ''})]", "got ''"),
        ("[type('Bad', (ToyAttack,), {'name': 'trailing-'})]", "got 'trailing-'"),
        ("[type('Bad', (ToyAttack,), {'name': 'a+b'})]", "got 'a+b'"),
        (
            "[type('Bad', (ToyAttack,), {'name': 'none'})]",
            "Bad.name: got 'none', expected lower-case words joined by dashes, and not 'none'",
        ),
        (
            "[type('Bad', (ToyAttack,), {'source': ''})]",
            "Bad.source: got '', expected the paper or the origin of the method",
        ),
        ("1 / 0", "retbench_attacks failed: ZeroDivisionError: division by zero"),
        ("exit(3)", "retbench_attacks failed: SystemExit: 3"),
        ("None", "retbench_attacks failed: TypeError: it must return a list of classes: got None"),
        ("Other", "retbench_attacks failed: TypeError"),
    ],
)
def test_a_plugin_with_an_invalid_component_is_broken_as_a_whole(
    site: Path, find_plugins: Find, returned: str, reason: str
) -> None:
    write_attacks(site, "strange", returned)
    write_plugin(site, "toys", "retbench.testing.toy_plugin")
    catalog = Catalog(find_plugins())
    (broken,) = catalog.broken
    assert broken.origin == Origin("strange", "0.1")
    assert reason in broken.error
    assert catalog.names("attack") == ["faulty", "toy", "toy-decision", "toy-score", "toy-untargeted"]


DECLARED_METHODS = """
from typing import ClassVar
from retbench import hookimpl
from retbench.testing import toys

class WithFit:
    def fit(self, knowledge, ctx):
        return {}

class WithLoss:
    def loss(self, outputs, labels, rows, memory):
        return outputs.sum()

class WithoutLoss:
    loss = toys.Hasher.loss

@hookimpl
def retbench_{kind}s():
    return [type("Made", ({bases}), {"name": "made", {attributes}})]
"""


@pytest.mark.parametrize(
    ("kind", "bases", "attributes", "problem"),
    [
        ("attack", "toys.ToyAttack,", "", None),
        ("attack", "WithFit, toys.ToyAttack", "'learns': True", None),
        ("attack", "WithFit, toys.ToyAttack", "", "defines `fit`: got learns = False, expected learns = True"),
        ("attack", "toys.ToyAttack,", "'learns': True", "does not define `fit`: got learns = True, expected learns = "),
        ("defense", "WithFit, toys.ToyPurifier", "'learns': True", None),
        ("defense", "WithFit, toys.ToyPurifier", "", "defines `fit`: got learns = False, expected learns = True"),
        ("defense", "toys.ToyPurifier,", "'learns': True", "does not define `fit`: got learns = True, expected"),
        ("defense", "toys.ToyHardening,", "", None),
        ("hasher", "WithLoss, toys.ToyHasher", "'supervised': True", None),
        ("hasher", "WithoutLoss, toys.ToyHasher", "'supervised': False", None),
        (
            "hasher",
            "WithLoss, toys.ToyHasher",
            "'supervised': False",
            "defines `loss`: got supervised = False, expected supervised = True",
        ),
        (
            "hasher",
            "WithoutLoss, toys.ToyHasher",
            "'supervised': True",
            "does not define `loss`: got supervised = True, expected supervised = False",
        ),
    ],
)
def test_declared_attributes_must_match_the_methods(
    site: Path, find_plugins: Find, kind: str, bases: str, attributes: str, problem: str | None
) -> None:
    source = DECLARED_METHODS.replace("{kind}", kind).replace("{bases}", bases).replace("{attributes}", attributes)
    write_plugin(site, "declared", "declared_module", source)
    catalog = Catalog(find_plugins())
    assert catalog.names(kind) == ([] if problem else ["made"])
    assert len(catalog.broken) == bool(problem)
    for broken in catalog.broken:
        assert broken.error.startswith(f"retbench_{kind}s: Made {problem}")


DECLARATIONS = """
from typing import Any, ClassVar
from pydantic import ConfigDict
from retbench import hookimpl
from retbench.testing import toys

class Descriptor:
    def __get__(self, instance, owner):
        raise ZeroDivisionError("a bug in a plugin")

class Made(toys.{base}):
    name: ClassVar[str] = "made"
    {line}

@hookimpl
def retbench_{kind}s():
    return [Made]
"""


@pytest.mark.parametrize(
    ("kind", "base", "line", "problem"),
    [
        (
            "dataset",
            "ToyDataset",
            "revision: ClassVar[int] = 0",
            "Made.revision: got 0, expected an integer of 1 or more",
        ),
        ("dataset", "ToyDataset", "_cache: dict = {}", "Made._cache: got a private attribute, expected none"),
        (
            "hasher",
            "ToyHasher",
            "modalities = frozenset({'images'})",
            "Made.modalities: got 'images', expected one of im",
        ),
        ("hasher", "ToyHasher", "cached = 3", "Made.cached: got 3, expected a valid string"),
        ("attack", "ToyAttack", "needs = {'training'}", "Made.needs: got {'training'}, expected a frozenset"),
        ("attack", "ToyAttack", "need: ClassVar[set] = {'training'}", "Made.need: unknown to retbench: nearest: needs"),
        (
            "attack",
            "ToyAttack",
            "ball = toys.Ball('Linf', 0.1)",
            "ball: unknown norm: got 'Linf', expected one of l2, l",
        ),
        ("attack", "ToyAttack", "learns = Descriptor()", "ZeroDivisionError: a bug in a plugin"),
        ("defense", "ToyPurifier", "differentiable = 'no'", "Made.differentiable: got 'no', expected a valid boolean"),
        (
            "defense",
            "ToyPurifier",
            "steps: list[int] = [1]",
            "Made.steps: not the type of an option: got list[int], exp",
        ),
        ("defense", "ToyHardening", "needs_loss = 1", "Made.needs_loss: got 1, expected a valid boolean"),
        (
            "defense",
            "ToyHardening",
            "model_config = ConfigDict(frozen=False)",
            "Made.model_config: got frozen=False, exp",
        ),
    ],
)
def test_a_plugin_with_a_wrong_declaration_is_broken_alone(
    site: Path, find_plugins: Find, kind: str, base: str, line: str, problem: str
) -> None:
    source = DECLARATIONS.replace("{kind}", kind).replace("{base}", base).replace("{line}", line)
    write_plugin(site, "declared", "declared_module", source)
    write_plugin(site, "toys", "retbench.testing.toy_plugin")
    catalog = Catalog(find_plugins())
    (broken,) = catalog.broken
    assert broken.origin == Origin("declared", "0.1")
    assert problem in broken.error
    assert "\n" not in broken.error
    assert list(catalog.entries()) == sorted((component.kind, component.name) for component in TOYS)


def test_a_defense_is_a_purifier_or_a_hardening(site: Path, find_plugins: Find) -> None:
    """Any other defense would never be called, and its cells would have the numbers of no defense."""
    class_statement = "toys.Hardening.__mro__[1]"
    source = DECLARATIONS.replace("{kind}", "defense").replace("toys.{base}", class_statement)
    write_plugin(site, "idle", "idle_module", source.replace("{line}", "source: ClassVar[str] = 'made for tests'"))
    (broken,) = Catalog(find_plugins()).broken
    assert broken.error == (
        "retbench_defenses: Made: a defense must derive from Purifier or Hardening, and only from one of them"
    )


def test_an_inherited_method_counts() -> None:
    class Fitted(ToyAttack):
        name: ClassVar[str] = "fitted"
        learns: ClassVar[bool] = True

        def fit(self, knowledge: Knowledge, ctx: Context) -> State:
            return {}

    class Derived(Fitted):
        name: ClassVar[str] = "derived"

    module = ModuleType("inheritance")
    vars(module)["retbench_attacks"] = hookimpl(lambda: [Fitted, Derived])
    catalog = Catalog(Discovery([(Origin("inheritance", "1"), module)]))
    assert catalog.broken == []
    assert catalog.names("attack") == ["derived", "fitted"]


def test_the_error_on_one_module_in_two_distributions_names_both(site: Path, find_plugins: Find) -> None:
    write_plugin(site, "first", "retbench.testing.toy_plugin")
    write_plugin(site, "second", "retbench.testing.toy_plugin")
    with pytest.raises(DuplicateComponent, match=r"got first 0\.1 and second 0\.1"):
        Catalog(find_plugins())


def test_a_function_with_another_name_may_implement_a_hook(site: Path, find_plugins: Find) -> None:
    more = "\n\n@hookimpl(specname='retbench_attacks')\ndef more_attacks():\n    return [Third]\n\n"
    third = "class Third(ToyAttack):\n    name: ClassVar[str] = 'third'\n"
    write_attacks(site, "several", f"[Other]{more}{third}")
    catalog = Catalog(find_plugins())
    assert catalog.broken == []
    assert catalog.names("attack") == ["other", "third"]


def test_the_error_on_two_distributions_with_the_same_component_names_both(site: Path, find_plugins: Find) -> None:
    write_attacks(site, "first", "[Other]")
    write_attacks(site, "second", "[Other]")
    with pytest.raises(DuplicateComponent) as caught:
        Catalog(find_plugins())
    assert str(caught.value) == (
        "plugins: two distributions define attack 'other': got first 0.1 and second 0.1, expected one; "
        "uninstall one, or name the plugins to load in RETBENCH_PLUGINS"
    )
    assert isinstance(caught.value, UserError)


def test_restricting_the_plugins_resolves_a_duplicate_component(
    site: Path, find_plugins: Find, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_attacks(site, "first", "[Other]")
    write_attacks(site, "second", "[Other]")
    monkeypatch.setenv("RETBENCH_PLUGINS", "second")
    assert Catalog(find_plugins()).entry("attack", "other").origin == Origin("second", "0.1")


def test_components_of_different_kinds_may_have_the_same_name() -> None:
    catalog = Catalog.of(ToyAttack, ToyHasher, ToyPurifier)
    assert list(catalog.entries()) == [("attack", "toy"), ("defense", "toy"), ("hasher", "toy")]


def test_the_error_on_an_unknown_name_lists_the_nearest_one() -> None:
    catalog = Catalog.of(*TOYS)
    with pytest.raises(
        UnknownName, match=r"suite: attack: unknown name: got 'fauly', expected one of .*nearest: faulty"
    ):
        catalog.entry("attack", "fauly", "suite")
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


def test_observers_are_listed_with_their_origin(site: Path, find_plugins: Find) -> None:
    source = "from retbench import hookimpl\nevents = []\n@hookimpl\ndef retbench_event(event): events.append(event)\n"
    write_plugin(site, "watcher", "watcher_module", source)
    catalog = Catalog(find_plugins())
    ((origin, observer),) = catalog.observers
    event = Event("finished")
    observer(event)
    assert origin == Origin("watcher", "0.1")
    assert vars(__import__("watcher_module"))["events"] == [event]


def test_an_observer_calls_only_its_own_plugin(site: Path, find_plugins: Find) -> None:
    for name, body in (("first", "1 / 0"), ("second", "events.append(event)")):
        source = f"from retbench import hookimpl\nevents = []\n@hookimpl\ndef retbench_event(event): {body}\n"
        write_plugin(site, name, f"{name}_module", source)
    (_, failing), (_, recording) = Catalog(find_plugins()).observers
    with pytest.raises(ZeroDivisionError):
        failing(Event("finished"))
    assert vars(__import__("second_module"))["events"] == []
    recording(Event("finished"))
    assert vars(__import__("second_module"))["events"] == [Event("finished")]


def test_a_broken_plugin_has_no_observer(site: Path, find_plugins: Find) -> None:
    write_attacks(site, "strange", "[NotAComponent]\n\n@hookimpl\ndef retbench_event(event): ...")
    catalog = Catalog(find_plugins())
    assert catalog.observers == []
    assert len(catalog.broken) == 1


def test_a_catalog_of_two_classes_with_the_same_name_raises() -> None:
    class Again(ToyAttack):
        name: ClassVar[str] = "toy"

    again: Any = Again
    with pytest.raises(DuplicateComponent, match="attack 'toy'"):
        Catalog.of(ToyAttack, again)
