"""Links, options and commands in the Markdown pages exist."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from retbench import Component, TargetRule
from retbench.catalog import Catalog, load_catalog
from retbench.document import parse_document
from retbench.errors import UserError

ROOT = Path(__file__).parents[1]
PAGES = [
    *ROOT.glob("*.md"),
    *ROOT.glob("docs/**/*.md"),
    *ROOT.glob("plugins/*/README.md"),
    *ROOT.glob("benchmarks/*.md"),
]


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("RETBENCH_PLUGINS", raising=False)
        return load_catalog()


def prose(page: Path) -> str:
    return re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)


def anchors(page: Path) -> set[str]:
    titles = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def broken_links(page: Path) -> Iterator[str]:
    for link in re.findall(r"\]\(([^)#]*)(?:#[^)]*)?\)", prose(page)):
        if link and not link.startswith("http") and not (page.parent / link).exists():
            yield f"{page.relative_to(ROOT)}: {link}"
    for link, anchor in re.findall(r"\]\(([^)#]*)#([^)]*)\)", prose(page)):
        target = page.parent / link if link else page
        if not link.startswith("http") and target.exists() and anchor not in anchors(target):
            yield f"{page.relative_to(ROOT)}: {link}#{anchor}"


def accepts(component: type[Component], options: dict[str, Any]) -> bool:
    try:
        component.create(options)
    except UserError:
        return False
    return True


def is_target_rule(options: dict[str, Any]) -> bool:
    try:
        TargetRule(**options)
    except ValidationError:
        return False
    return True


def unknown_options(page: Path, catalog: Catalog) -> Iterator[str]:
    """Yield the options in braces, such as `{steps: 5}` or `tha: {steps: 5}`, that their component, or any, refuses."""
    entries = {name: entry.component for (_, name), entry in catalog.entries().items()}
    for name, text in re.findall(r"`(?:([a-z][a-z0-9-]*): )?(\{[a-z_]+: [^`]*\})`", prose(page)):
        if name and name not in entries:  # a field of a suite, not a component
            continue
        options = parse_document(re.sub(r"\s+", " ", text), page.name).data
        owners = [entries[name]] if name else list(entries.values())
        if not any(accepts(owner, options) for owner in owners) and not is_target_rule(options):
            yield f"{page.relative_to(ROOT)}: {name} {text}"


def test_relative_links_and_their_anchors_exist() -> None:
    assert [broken for page in PAGES for broken in broken_links(page)] == []


def test_options_are_accepted_by_their_component(catalog: Catalog) -> None:
    assert [unknown for page in PAGES for unknown in unknown_options(page, catalog)] == []


def test_options_of_published_codes_are_accepted_by_the_attacks_they_are_for(catalog: Catalog) -> None:
    attacks = {name: catalog.entry("attack", name).component for name in catalog.names("attack")}
    page = ROOT / "plugins" / "attacks" / "README.md"
    rows = re.findall(r"^\| ([^|`]+) \| `(\{[^`]*\})`", page.read_text(encoding="utf-8"), re.MULTILINE)
    for code, text in rows:
        attack = code.split(" of ")[0].lower().replace("-", "")
        named = [name for name in attacks if re.search(rf"\b{name}", attack)]
        assert named, code
        assert [name for name in named if not accepts(attacks[name], parse_document(text, code).data)] == [], code
    assert len(rows) >= 9


def test_shown_components_accept_the_options_of_the_example_suites(catalog: Catalog) -> None:
    refused = []
    for page in PAGES:
        for text in re.findall(r"```yaml\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
            components = parse_document(text, page.name).data.get("components", {})
            refused += [
                f"{page.relative_to(ROOT)}: {name} {options}"
                for kind, named in components.items()
                for name, options in named.items()
                if not accepts(catalog.entry(kind, name).component, options)
            ]
    assert refused == []
