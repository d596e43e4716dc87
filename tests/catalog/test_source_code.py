"""The code that the digest of a local class depends on, in the class itself and in other local modules."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from collections.abc import Callable
from functools import wraps
from itertools import count
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import pytest

from retbench.canon import digest
from retbench.catalog.local import set_code
from retbench.catalog.source_code import collect_source
from retbench.errors import UserError
from retbench.testing import ToyAttack
from tests.conftest import StartProgram

SECONDS = count(1_000_000_000, 10)
HEAD = "from retbench.testing import ToyAttack\n"
MINE = "class Mine(ToyAttack):\n    name = 'mine'\n    def perturb(self, *_):\n        {}\n"

Write = Callable[..., None]


@pytest.fixture
def write(site: Path) -> Write:
    """Return a function that writes modules, each newer than all before in whole seconds, as Python compares them."""

    def write(**texts: str) -> None:
        for name, text in texts.items():
            file = site / f"{name.replace('__', '/')}.py" if not name.endswith("_init") else None
            file = file or site / name.removesuffix("_init") / "__init__.py"
            file.parent.mkdir(exist_ok=True)
            file.write_text(text)
            os.utime(file, (second := next(SECONDS), second))
        importlib.invalidate_caches()

    return write


def code(*modules: str) -> str:
    """Return the digest of the class `Mine` of the module `mine`, after importing it and other modules again."""
    for name in ("mine", *modules):
        sys.modules.pop(name, None)
    return code_of(importlib.import_module("mine"))


def code_of(module: ModuleType) -> str:
    return digest(collect_source(module.Mine).definitions)


@pytest.mark.parametrize(
    ("head", "body"),
    [
        ("import helper1", "return helper1.strength()"),
        ("from helper1 import strength", "return strength()"),
        ("import labpkg.nets", "return labpkg.nets.strength()"),
        ("from labpkg import nets", "return nets.strength()"),
        ("import labpkg.nets as n", "return n.strength()"),
        ("", "import labpkg.nets; return labpkg.nets.strength()"),
        ("", "from labpkg import nets; return nets.strength()"),
        ("", "from labpkg.nets import strength; return strength()"),
    ],
)
def test_a_module_counts_with_everything_that_it_imports(write: Write, head: str, body: str) -> None:
    write(
        mine=f"{HEAD}{head}\n{MINE.format(body)}",
        helper1="import helper2\ndef strength():\n    return helper2.GAIN\n",
        helper2="GAIN = 1\n",
        labpkg_init="",
        labpkg__nets="from . import layers\nfrom .deep import inner\ndef strength():\n    return inner.GAIN + 1\n",
        labpkg__layers="def scale():\n    from helper2 import GAIN\n    return GAIN\nGAIN = scale()\n",
        labpkg__deep="from . import inner\n",
        labpkg__inner="GAIN = 1\n",
        unrelated="GAIN = 1\n",
    )
    packages = ("helper1", "helper2", "labpkg", "labpkg.nets", "labpkg.layers", "labpkg.deep", "labpkg.inner")
    first = code(*packages)
    write(unrelated="GAIN = 2\n", helper2="# a comment\nGAIN = 1\n")
    assert code(*packages) == first
    write(helper2="GAIN = 2\n")
    second = code(*packages)
    assert second != first
    write(labpkg__inner="GAIN = 2\n")
    assert (code(*packages) != second) is ("labpkg" in head + body)


DIGEST = """
import sys
from retbench.canon import digest
from retbench.catalog.source_code import collect_source

def find_digest(component):
    return digest(collect_source(component).definitions)
"""


def test_the_digest_does_not_depend_on_earlier_imports(write: Write, site: Path, start_program: StartProgram) -> None:
    body = "import labpkg.nets; return labpkg.nets.GAIN"
    write(mine=f"{HEAD}{MINE.format(body)}", labpkg_init="", labpkg__nets="from labpkg.layers import GAIN\n")
    write(labpkg__layers="GAIN = 1\n")
    before = code()
    assert "labpkg" not in sys.modules
    importlib.import_module("mine").Mine().perturb()
    assert code() == before
    program = f"{DIGEST}\nsys.path.insert(0, site)\nimport mine\npipe.send(find_digest(mine.Mine))"
    assert start_program(program, site=str(site)).pipe.recv() == before


VALUES = """\
import torch
from dataclasses import dataclass
class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.gain = 2.0
        self.layer = torch.nn.Conv2d(3, 4, 3, stride=1)
        torch.nn.init.constant_(self.layer.weight, 0.5)
        torch.nn.init.zeros_(self.layer.bias)
        self.register_buffer("mean", torch.ones(()), persistent=False)
@dataclass
class Box:
    words: set
    value: torch.Tensor
NET = Net()
BOX = Box({"a", "b", "c", "d"}, torch.arange(3.0))
WORDS = frozenset({"e", "f", "g"})
"""


CHANGES = (
    "pass",
    "NET.layer.stride = 2",
    "NET.layer.bias.data.add_(1)",
    "NET.gain = 3",
    "NET.mean += 1",
    "BOX.value += 1",
)


def test_networks_and_objects_with_tensors_have_the_same_digest_in_every_process(
    write: Write, site: Path, start_program: StartProgram
) -> None:
    write(mine=f"{HEAD}{VALUES}{MINE.format('return NET, BOX, WORDS')}")
    program = f"{DIGEST}\nsys.path.insert(0, site)\nimport mine\nfrom mine import NET, BOX\ndigests = []\n"
    program += "".join(f"{change}\ndigests.append(find_digest(mine.Mine))\n" for change in CHANGES)
    digests = start_program(f"{program}\npipe.send(digests)", site=str(site)).pipe.recv()
    seed = "2" if os.environ.get("PYTHONHASHSEED") == "1" else "1"
    process = subprocess.run(
        [sys.executable, "-c", f"site = {str(site)!r}\n{program}\nprint(*digests)"],
        env={**os.environ, "PYTHONHASHSEED": seed},
        capture_output=True,
        text=True,
        check=True,
    )
    assert process.stdout.split() == digests
    assert len(set(digests)) == len(CHANGES)


def make(gain: float, **members: Any) -> type[ToyAttack]:
    def scaled(function: Callable[..., float]) -> Callable[..., float]:
        @wraps(function)
        def inner(*args: Any) -> float:
            return gain * function(*args)

        return inner

    class Mine(ToyAttack):
        name: ClassVar[str] = "mine"
        strength: ClassVar[float] = gain

        def perturb(self, *_: Any) -> Any:
            return self.strength

    class Defaults(ToyAttack):
        name: ClassVar[str] = "mine"

        def perturb(self, gain: Any = gain, *_: Any) -> Any:
            return gain

    class Decorated(ToyAttack):
        name: ClassVar[str] = "mine"

        @scaled
        def perturb(self, *_: Any) -> Any:
            return 1

    class Base(ToyAttack):
        def perturb(self, *_: Any) -> Any:
            return gain

    class Derived(Base):
        name: ClassVar[str] = "mine"

        def other(self) -> int:
            return 1

    return {"defaults": Defaults, "decorated": Decorated, "derived": Derived}.get(members.get("which", ""), Mine)


@pytest.mark.parametrize("which", ["", "defaults", "decorated", "derived"])
def test_values_from_a_function_around_a_class_count(which: str) -> None:
    first, same, other = (digest(collect_source(make(gain, which=which)).definitions) for gain in (1.0, 1.0, 2.0))
    assert first == same != other


def test_class_attributes_that_are_set_later_count_except_the_digest_itself() -> None:
    component = make(1.0)
    first = digest(collect_source(component).definitions)
    set_code(component)
    assert component.code == first == digest(collect_source(component).definitions)
    component.strength = 3.0  # type: ignore[attr-defined]  # a class attribute of its own
    assert digest(collect_source(component).definitions) != first


EDITED = "^Mine: its source code changed after the import: .*; reload it or restart$"


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("mine", "return helper1.strength()", "return 2 * helper1.strength()"),
        ("mine", "def perturb", "def renamed"),
        ("helper1", "return GAIN", "return 2 * GAIN"),
        ("helper1", "return self.x", "return 2 * self.x"),
        ("helper1", "GAIN = 8 / 255", "GAIN = 9 / 255"),
        ("helper1", "x = 1", "x = 2"),
    ],
)
def test_a_module_edited_after_its_import_is_rejected(write: Write, name: str, old: str, new: str) -> None:
    texts = {
        "mine": f"{HEAD}import helper1\n{MINE.format('return helper1.strength()')}",
        "helper1": "GAIN = 8 / 255\ndef strength():\n    return GAIN\nclass Box:\n    x = 1\n"
        "    def get(self):\n        return self.x\n",
    }
    write(**texts)
    module = importlib.import_module("mine")
    assert old in texts[name]
    write(**{name: texts[name].replace(old, new)})
    with pytest.raises(UserError, match=EDITED):
        code_of(module)
    importlib.reload(importlib.import_module("helper1"))
    assert code_of(importlib.reload(module))


@pytest.mark.parametrize(("name", "text"), [("helper1", "GAIN = min(2, 4)\n"), ("mine", "eps: float = 0.4")])
def test_a_text_edited_after_its_first_use_is_rejected(write: Write, name: str, text: str) -> None:
    mine = f"{HEAD}import helper1\n{MINE.format('return helper1.GAIN')}    eps: float = 0.3\n"
    write(mine=mine, helper1="GAIN = min(1, 3)\n")
    module = importlib.import_module("mine")
    first = code_of(module)
    write(
        **{"mine": mine.replace("eps: float = 0.3", text) if name == "mine" else mine, "helper1": "GAIN = min(1, 3)\n"}
    )
    write(**({} if name == "mine" else {name: text}))
    with pytest.raises(UserError, match=EDITED):
        code_of(module)
    importlib.reload(importlib.import_module("helper1"))
    assert code_of(importlib.reload(module)) != first


def test_moved_lines_comments_and_values_set_at_run_time_are_not_edits(write: Write) -> None:
    mine = f"{HEAD}import helper1\n{MINE.format('return helper1.load()')}"
    helper = "CACHE = None\nDEBUG = False\nif not DEBUG:\n    DEBUG = True\n"
    helper += "def load():\n    'Loads.'\n    global CACHE\n    CACHE = CACHE or 1\n    return CACHE\n"
    write(mine=mine, helper1=helper)
    module = importlib.import_module("mine")
    first = code_of(module)
    assert module.Mine().perturb() == 1
    write(mine=f"# moved\n\n{mine}", helper1=f"# moved\n{helper.replace('Loads.', 'Fills the cache.')}")
    assert code_of(module) == first


def test_an_empty_package_and_scalar_tensors_have_a_digest(write: Write) -> None:
    write(labpkg_init="", mine=f"{HEAD}import labpkg, torch\nX = torch.tensor(1)\n{MINE.format('return labpkg, X')}")
    codes = [code()]
    for value in ("torch.tensor(1.0)", "torch.tensor([1])", "torch.tensor(2)", "torch.tensor(1).half()", "None"):
        write(mine=f"{HEAD}import labpkg, torch\nX = {value}\n{MINE.format('return labpkg, X')}")
        codes.append(code())
    assert len(set(codes)) == 6


@pytest.mark.parametrize("folder", ["site-packages", "dist-packages"])
def test_packages_of_the_user_or_the_system_count_as_installed(
    write: Write, site: Path, monkeypatch: pytest.MonkeyPatch, folder: str
) -> None:
    library = site / "lib" / folder
    library.mkdir(parents=True)
    (library / "biblio.py").write_text("GAIN = 1\n")
    monkeypatch.syspath_prepend(library)
    write(mine=f"{HEAD}import biblio\n{MINE.format('return biblio.GAIN')}")
    first = code()
    (library / "biblio.py").write_text("GAIN = 2  # another version\n")
    assert code("biblio") == first


def test_names_in_lambdas_and_in_functions_with_nonlocal_count(write: Write) -> None:
    text = (
        "GAIN = {}\nLOUD = lambda x: x * GAIN\ndef outer():\n    n = 0\n    def inner():\n        nonlocal n\n"
        "        n = GAIN\n    return inner\nstep = outer()\n"
    )
    for body in ("return LOUD(1)", "return step()"):
        codes = []
        for gain in (1, 1, 2):
            write(mine=f"{HEAD}{text.format(gain)}{MINE.format(body)}")
            codes.append(code())
        assert codes[0] == codes[1] != codes[2]
