"""Components outside installed plugins: their place in a catalog, and the digest of their source code."""

from __future__ import annotations

import linecache
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import pytest

from retbench.catalog.local import local_catalog, set_code
from retbench.contracts import AttackPart, Facts
from retbench.errors import UserError
from retbench.testing import ToyAttack, ToyHasher
from retbench.testing.toys import ToyPart, ToyPrototype

FIRST = """\
from functools import lru_cache, partial
from typing import ClassVar, Literal
import torch
from retbench.testing.toys import ToyAttack

EPS = 8 / 255
Kind = Literal["a", "b"]
weights = torch.ones(3)

@lru_cache
def gain():
    return 2

def scale(x):  # a helper
    return x * EPS * gain() + weights.sum()

half = partial(scale, 0.5)
unrelated = object()
"""
SECOND = '''\
class Mine(ToyAttack):
    """What it does."""

    name: ClassVar[str] = "mine"
    setting: Kind = "a"

    def perturb(self, knowledge, batch, state, noise):
        mean = 1
        return scale(batch.images) + half() + mean
'''


class Notebook:
    """A `__main__` module without a file, with its cells in linecache, as IPython does it."""

    def __init__(self) -> None:
        self.main, self.count = ModuleType("__main__"), 0

    def run(self, cell: str) -> None:
        self.count += 1
        name = f"/tmp/ipykernel_1/{self.count}.py"
        linecache.cache[name] = (len(cell), None, cell.splitlines(keepends=True), name)
        exec(compile(cell, name, "exec"), self.main.__dict__)

    @property
    def code(self) -> str:
        """The digest of the current class `Mine`."""
        local_catalog(classes=[self.main.Mine])
        return str(self.main.Mine.code)


@pytest.fixture
def notebook(monkeypatch: pytest.MonkeyPatch) -> Notebook:
    notebook = Notebook()
    monkeypatch.setitem(sys.modules, "__main__", notebook.main)
    notebook.run(FIRST)
    notebook.run(SECOND)
    return notebook


@pytest.fixture(autouse=True)
def only_toys(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Load no installed plugin, which makes the catalog faster."""
    monkeypatch.setenv("RETBENCH_PLUGINS", "nothing")


@pytest.mark.parametrize(
    ("cell", "same"),
    [
        ("another = 2\nmean = 5\n", True),
        ("unrelated = 1\n", True),
        (FIRST.replace("# a helper", "# another comment"), True),
        (SECOND.replace("What it does.", "What else it does."), True),
        (SECOND.replace("mean = 1", "mean = 2"), False),
        (SECOND.replace('= "a"', '= "b"'), False),
        (FIRST.replace("x * EPS", "x + EPS"), False),
        (FIRST.replace("return 2", "return 3"), False),
        (FIRST.replace("partial(scale, 0.5)", "partial(scale, 0.25)"), False),
        (FIRST.replace('["a", "b"]', '["a", "c"]') + SECOND, False),
        ("EPS = 9 / 255\n", False),
        ("weights = torch.zeros(3)\n", False),
    ],
)
def test_the_digest_changes_only_with_code_that_the_class_uses(notebook: Notebook, cell: str, same: bool) -> None:
    before = notebook.code
    assert len(before) == 64
    notebook.run(cell)
    assert (notebook.code == before) is same


def test_a_file_and_a_notebook_give_the_same_digest(notebook: Notebook, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(FIRST + SECOND)
    catalog = local_catalog([tmp_path / "mine.py"])
    assert catalog.entry("attack", "mine").component.code == notebook.code


def test_a_value_without_a_digest_is_rejected(notebook: Notebook) -> None:
    notebook.run("import threading\nhalf = threading.Lock\nlock = threading.Lock()\n")
    notebook.run(SECOND.replace("mean = 1", "mean = lock"))
    with pytest.raises(UserError, match=r"^Mine: it uses lock, whose value has no digest: got lock; make it an "):
        _ = notebook.code


def test_the_error_on_a_class_without_source_code_lists_where_to_define_it(notebook: Notebook) -> None:
    exec(compile(SECOND, "<string>", "exec"), notebook.main.__dict__)
    with pytest.raises(
        UserError, match=r"^Mine: the source code of Mine cannot be read, .*in a file or in a notebook$"
    ):
        _ = notebook.code


def test_a_class_in_a_function_depends_on_the_variables_of_the_function() -> None:
    def make(gain: float) -> type[ToyAttack]:
        class Mine(ToyAttack):
            name: ClassVar[str] = "mine"

            def perturb(self, *_: Any) -> Any:
                return gain

        local_catalog(classes=[Mine])
        return Mine

    assert make(1).code != make(2).code
    assert make(1).code == make(1).code


class Part(ToyPrototype):
    """A part of a local attack."""

    name: ClassVar[str] = "part"


class Owner(ToyAttack):
    """An attack with a local part."""

    name: ClassVar[str] = "owner"

    def parts(self, facts: Facts) -> dict[str, AttackPart]:
        return {"part": Part()}


def test_the_parts_of_a_local_class_have_digests_too() -> None:
    local_catalog(classes=[Owner])
    assert Part.code
    assert Part.code != Owner.code
    assert ToyPrototype.code == ""
    facts = Facts("toy", (12, 12), ("red",), {"train": 1, "query": 1, "database": 1})
    assert Owner().spec(facts)["code"] == Owner.code


def test_a_class_without_name_and_source_gets_them_from_its_class_name() -> None:
    class TwiceAsStrong(ToyHasher):
        name: ClassVar[str] = ""
        source: ClassVar[str] = ""

        def loss(self, *_: Any) -> Any:
            return 0

    catalog = local_catalog(classes=[TwiceAsStrong])
    entry = catalog.entry("hasher", "twice-as-strong")
    assert entry.component is TwiceAsStrong
    assert entry.origin.distribution == "local"
    assert "TwiceAsStrong" in TwiceAsStrong.source


FILE = "from retbench.testing.toys import ToyAttack\nclass Mine(ToyAttack):\n    name = 'mine'\n"


def test_private_base_classes_in_a_file_are_not_components(tmp_path: Path) -> None:
    text = FILE.replace("class Mine(ToyAttack)", "class _Base(ToyAttack):\n    pass\nclass Mine(_Base)")
    (tmp_path / "mine.py").write_text(text)
    assert local_catalog([tmp_path / "mine.py"]).names("attack") == ["mine"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1\n", "it defines no dataset, hasher, attack or defense, and no hook of a plugin"),
        ("import nothing_like_it\n", "cannot be imported: ModuleNotFoundError"),
        ("def broken(:\n", "cannot be imported: SyntaxError"),
        (FILE.replace("'mine'", "'Mine'"), "Mine.name: got 'Mine', expected lower-case words joined by dashes"),
        (
            "import retbench\n@retbench.hookimpl\ndef retbench_attakcs():\n    return []\n",
            "hook",
        ),
    ],
)
def test_the_error_on_an_invalid_file_is_one_line(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "mine.py").write_text(text)
    with pytest.raises(UserError) as caught:
        local_catalog([tmp_path / "mine.py"])
    assert "mine.py" in str(caught.value)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_error_on_a_missing_file_names_it() -> None:
    with pytest.raises(UserError, match=r"^plugins nowhere\.py: no such file$"):
        local_catalog(["nowhere.py"])


def test_a_file_depends_on_the_modules_of_its_folder_that_it_imports(tmp_path: Path) -> None:
    (tmp_path / "neighbor.py").write_text("LIMIT = 1\n")
    text = "import neighbor\n" + FILE + "    def perturb(self, *_):\n        return neighbor.LIMIT\n"
    (tmp_path / "mine.py").write_text(text)
    codes = []
    for second, limit in enumerate((1, 1, 2)):
        (tmp_path / "neighbor.py").write_text(f"LIMIT = {limit}\n")
        os.utime(tmp_path / "neighbor.py", (second, second))  # Python compares whole seconds
        sys.modules.pop("neighbor", None)
        linecache.clearcache()
        codes.append(local_catalog([tmp_path / "mine.py"]).entry("attack", "mine").component.code)
    assert codes[0] == codes[1] != codes[2]


def test_a_file_with_hooks_provides_the_components_that_they_return(tmp_path: Path) -> None:
    hook = "import retbench\n@retbench.hookimpl\ndef retbench_attacks():\n    return [Mine]\n"
    (tmp_path / "mine.py").write_text(FILE + hook)
    catalog = local_catalog([tmp_path / "mine.py"])
    assert catalog.names("attack") == ["mine"]
    assert catalog.entry("attack", "mine").component.code


def test_the_name_of_an_installed_component_is_rejected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, install: Callable[[str], None]
) -> None:
    install("retbench.testing.toy_plugin")

    class Mine(ToyAttack):
        name: ClassVar[str] = "toy"

        def perturb(self, *_: Any) -> Any:
            return 0

    with pytest.raises(UserError, match=r"^Mine: its name is taken: got attack 'toy', which toys 0.1 defines; give "):
        local_catalog(classes=[Mine])
    assert local_catalog(classes=[ToyAttack]).entry("attack", "toy").component.code == ""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Return a function that installs a plugin module as the only plugin."""

    def add(module: str) -> None:
        from retbench.testing import write_plugin

        monkeypatch.syspath_prepend(str(write_plugin(tmp_path / "plugins", "toys", module)))
        monkeypatch.setenv("RETBENCH_PLUGINS", "toys")

    return add


def test_a_subclass_of_a_local_class_has_its_own_name(tmp_path: Path) -> None:
    path = tmp_path / "two.py"
    first, second = "class FirstOne(ToyAttack):\n    'a'\n", "class SecondOne(FirstOne):\n    'b'\n"
    path.write_text(f"from retbench.testing import ToyAttack\n{first}{second}")
    assert {"first-one", "second-one"} <= set(local_catalog([path]).names("attack"))


def test_the_error_on_an_incomplete_class_in_a_file_lists_the_missing_methods(tmp_path: Path) -> None:
    path = tmp_path / "unfinished.py"
    path.write_text("from retbench import Attack\nclass NoBall(Attack):\n    def perturb(self, *given): ...\n")
    with pytest.raises(UserError, match=r"unfinished\.py: NoBall does not define ball"):
        local_catalog([path])


class Gray(ToyAttack):
    """Misspells a class attribute."""

    adaptve: ClassVar[bool] = False


def test_a_wrong_declaration_of_a_local_class_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"Gray\.adaptve: unknown to retbench: nearest: adaptive"):
        local_catalog(classes=[Gray])
    text = "from retbench.testing.toys import ToyAttack\nclass Mine(ToyAttack):\n    steps: list[int] = [1]\n"
    (tmp_path / "mine.py").write_text(text)
    with pytest.raises(
        UserError, match=r"mine\.py: .*Mine\.steps: not the type of an option: got list\[int\], expected"
    ):
        local_catalog([tmp_path / "mine.py"])


def test_a_local_part_without_name_and_source_gets_them_from_its_class_name() -> None:
    class SmallNet(ToyPart):
        name: ClassVar[str] = ""
        source: ClassVar[str] = ""

    set_code(SmallNet)
    assert SmallNet.name == "small-net"
    assert SmallNet.source == "class SmallNet, defined locally"
