"""Finding layouts, and the component names in them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from retbench.errors import LayoutError, SuiteError, UnknownName, UserError
from retbench.study.layouts import find_layouts
from retbench.study.opening import open as open_suite
from tests.cli.conftest import RunCommand

LAYOUT = "title: TITLE\ncolumns: [bits]\nmetrics: [{name: map, label: MAP}]\n"
KNOWN = {"defense": ["toy"]}


def write_layout(path: Path, title: str, lines: str = "") -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(LAYOUT.replace("TITLE", title) + lines)


def titles(names: str | Path | list[str | Path], suite_folder: Path) -> list[str]:
    return [layout.title for layout in find_layouts(names, suite_folder, KNOWN)]


def test_a_path_is_looked_for_in_the_current_folder_first_and_then_in_the_suites(toys: Path) -> None:
    write_layout(toys / "suites" / "mine.yaml", "suite folder")
    write_layout(toys / "suites" / "other.yaml", "suite folder, too")
    assert titles("mine.yaml", toys / "suites") == ["suite folder"]
    write_layout(toys / "mine.yaml", "current folder")
    assert titles(["mine.yaml", Path("other.yaml")], toys / "suites") == ["current folder", "suite folder, too"]
    assert titles(toys / "mine.yaml", toys / "suites") == ["current folder"]


def test_a_shipped_name_is_not_a_path(toys: Path) -> None:
    shipped = titles("long", toys)
    write_layout(toys / "long", "mine")
    assert titles("long", toys) == shipped != ["mine"]


def test_a_layout_of_the_current_folder_is_used_for_a_shipped_suite(toys: Path) -> None:
    write_layout(toys / "mine.yaml", "current folder")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("RETBENCH_PLUGINS")
        study = open_suite("smoke", store=toys / "store")
    assert study.loaded.path.parent != toys
    with pytest.raises(UserError, match="no stored results for smoke"):
        study.table("mine.yaml")
    with pytest.raises(UserError, match="layout: missing file in "):
        study.table("yours.yaml")


def test_a_missing_layout_names_the_folders_it_was_looked_for_in(toys: Path) -> None:
    with pytest.raises(UnknownName, match=r"^layout: unknown name: got 'lon', .*nearest: long"):
        find_layouts("lon", toys / "suites", KNOWN)
    with pytest.raises(UnknownName) as caught:
        find_layouts("mine.yaml", toys / "suites", KNOWN)
    assert str(caught.value).startswith(f"layout: missing file in {toys} or {toys / 'suites'}: ")


def test_a_suite_names_layouts_of_its_own_folder(
    toys: Path, change: Callable[[str, str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    change("layout: [retpur-table-1, retpur-table-7]", "layout: mine.yaml")
    write_layout(toys / "mine.yaml", "suite folder")
    write_layout(toys / "elsewhere" / "mine.yaml", "current folder")
    monkeypatch.chdir(toys / "elsewhere")
    assert [layout.title for layout in open_suite(toys / "toy.yaml").layouts] == ["suite folder"]


@pytest.mark.parametrize(
    ("layout", "message"),
    [
        ("mine.yaml", r"toy.yaml:\d+:\d+: report.layout: missing layout file: got 'mine.yaml', looked in "),
        ("lon", r"toy.yaml:\d+:\d+: report.layout: unknown layout: got 'lon', .*nearest: long"),
    ],
)
def test_an_unknown_layout_of_a_suite_has_its_location_in_the_file(
    retbench: RunCommand, change: Callable[[str, str], None], layout: str, message: str
) -> None:
    change("layout: [retpur-table-1, retpur-table-7]", f"layout: {layout}")
    with pytest.raises(SuiteError, match=message):
        open_suite("toy.yaml")


def test_a_layout_may_only_name_installed_components(toys: Path) -> None:
    write_layout(toys / "good.yaml", "good", "select: [{defense: toy}]\n")
    write_layout(toys / "bad.yaml", "bad", "select: [{defense: tooy}]\n")
    assert titles("good.yaml", toys) == ["good"]
    with pytest.raises(LayoutError, match=r"layout bad.yaml: unknown defense: got 'tooy', .*nearest: toy"):
        find_layouts("bad.yaml", toys, KNOWN)
