"""Where layouts and published numbers are found, and what they may name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from retbench.errors import LayoutError, SuiteError, UnknownName, UserError
from retbench.study.layouts import find_layouts
from retbench.study.opening import open as open_suite
from tests.cli.conftest import Retbench

LAYOUT = "title: TITLE\ncolumns: [bits]\nmetrics: [{name: map, label: MAP}]\n"
KNOWN = {"defense": ["toy"]}


def write_layout(path: Path, title: str, more: str = "") -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(LAYOUT.replace("TITLE", title) + more)


def titles(names: str | Path | list[str | Path], beside: Path) -> list[str]:
    return [layout.title for layout in find_layouts(names, beside, KNOWN)]


def test_a_path_is_read_from_the_current_folder_first_and_then_beside_the_suite(toys: Path) -> None:
    write_layout(toys / "suites" / "mine.yaml", "beside")
    write_layout(toys / "suites" / "other.yaml", "beside too")
    assert titles("mine.yaml", toys / "suites") == ["beside"]
    write_layout(toys / "mine.yaml", "here")
    assert titles(["mine.yaml", Path("other.yaml")], toys / "suites") == ["here", "beside too"]
    assert titles(toys / "mine.yaml", toys / "suites") == ["here"]


def test_a_shipped_name_is_no_path(toys: Path) -> None:
    shipped = titles("long", toys)
    write_layout(toys / "long", "mine")
    assert titles("long", toys) == shipped != ["mine"]


def test_a_notebook_gives_a_layout_of_its_own_folder_to_a_shipped_suite(toys: Path) -> None:
    write_layout(toys / "mine.yaml", "here")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("RETBENCH_PLUGINS")
        study = open_suite("smoke", store=toys / "store")
    assert study.loaded.path.parent != toys
    with pytest.raises(UserError, match="no stored results for smoke"):
        study.table("mine.yaml")
    with pytest.raises(UserError, match="no such file"):
        study.table("yours.yaml")


def test_a_layout_that_is_nowhere_names_where_it_was_looked_for(toys: Path) -> None:
    with pytest.raises(UnknownName, match=r"^layout: unknown name: got 'lon', .*nearest: long"):
        find_layouts("lon", toys / "suites", KNOWN)
    with pytest.raises(UnknownName) as caught:
        find_layouts("mine.yaml", toys / "suites", KNOWN)
    assert str(caught.value).startswith(f"layout: no such file in {toys} or {toys / 'suites'}: ")


def test_a_suite_names_layouts_beside_itself_whatever_the_current_folder_is(
    toys: Path, change: Callable[[str, str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    change("layout: [retpur-table-1, retpur-table-7]", "layout: mine.yaml")
    write_layout(toys / "mine.yaml", "beside")
    write_layout(toys / "elsewhere" / "mine.yaml", "here")
    monkeypatch.chdir(toys / "elsewhere")
    assert [layout.title for layout in open_suite(toys / "toy.yaml").layouts] == ["beside"]


@pytest.mark.parametrize(
    ("layout", "message"),
    [
        ("mine.yaml", r"toy.yaml:\d+:\d+: report.layout: no such layout: got 'mine.yaml', looked in "),
        ("lon", r"toy.yaml:\d+:\d+: report.layout: unknown layout: got 'lon', .*nearest: long"),
    ],
)
def test_an_unknown_layout_of_a_suite_has_its_place_in_the_file(
    retbench: Retbench, change: Callable[[str, str], None], layout: str, message: str
) -> None:
    change("layout: [retpur-table-1, retpur-table-7]", f"layout: {layout}")
    with pytest.raises(SuiteError, match=message):
        open_suite("toy.yaml")


def test_a_layout_may_name_installed_components_only(toys: Path) -> None:
    write_layout(toys / "good.yaml", "good", "select: [{defense: toy}]\n")
    write_layout(toys / "bad.yaml", "bad", "select: [{defense: tooy}]\n")
    assert titles("good.yaml", toys) == ["good"]
    with pytest.raises(LayoutError, match=r"layout bad.yaml: unknown defense: got 'tooy', .*nearest: toy"):
        find_layouts("bad.yaml", toys, KNOWN)
