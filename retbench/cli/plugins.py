"""`retbench plugins`: list components and broken plugins, and show the options of a component."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from retbench.cli.group import CommandGroup
from retbench.cli.options import json_option, unused_store_option

if TYPE_CHECKING:
    from retbench.catalog import Catalog, Entry


@click.group(cls=CommandGroup)
def plugins() -> None:
    """List components and show their options."""


@plugins.command("list")
@unused_store_option
@json_option
def list_plugins(as_json: bool) -> None:
    """List all components, and broken plugins with the reason."""
    from tabulate import tabulate

    from retbench.catalog import load_catalog

    catalog = load_catalog()
    if as_json:
        click.echo(json.dumps(describe(catalog)))
        return
    rows = [
        (kind, name, str(entry.component.revision), str(entry.origin), entry.component.source)
        for (kind, name), entry in catalog.entries().items()
    ]
    headers = ("kind", "name", "revision", "plugin", "source")
    click.echo(tabulate(rows, headers, "simple", disable_numparse=True, maxcolwidths=[None, None, None, None, 60]))
    if not rows:
        click.echo("no components are installed: get the first-party plugins with `pip install retbench[plugins]`")
    for broken in catalog.broken:
        click.echo(f"broken: {broken.origin}: {broken.error}")


@plugins.command("show")
@click.argument("name")
@unused_store_option
@json_option
def show(name: str, as_json: bool) -> None:
    """Show the component called NAME and its options.

    Prints its source, its documentation, and the range, default and meaning of each option.
    """
    from retbench.catalog import load_catalog
    from retbench.errors import UnknownName

    catalog = load_catalog()
    entries = {key: entry for key, entry in catalog.entries().items() if key[1] == name}
    if not entries:
        raise UnknownName("plugins show", name, {known for _, known in catalog.entries()}, "retbench plugins list")
    if as_json:
        click.echo(json.dumps([_describe_component(kind, entry) for (kind, _), entry in entries.items()]))
        return
    for (kind, _), entry in entries.items():
        _print(kind, entry)


def describe(catalog: Catalog) -> dict[str, Any]:
    """Return the components and the broken plugins of a catalog as JSON."""
    components = [_describe_component(kind, entry) for (kind, _), entry in catalog.entries().items()]
    broken = [{"origin": str(broken.origin), "error": broken.error} for broken in catalog.broken]
    return {"components": components, "broken": broken}


def _describe_component(kind: str, entry: Entry) -> dict[str, Any]:
    from retbench.contracts import Attack

    component = entry.component
    return {
        "kind": kind,
        "name": component.name,
        "revision": component.revision,
        "source": component.source,
        "origin": str(entry.origin),
        **({"access": component.access} if issubclass(component, Attack) else {}),
        "options": component.model_json_schema(),
    }


def _print(kind: str, entry: Entry) -> None:
    import inspect

    from tabulate import tabulate

    from retbench.contracts import Attack

    component = entry.component
    click.echo(f"{kind} {component.name}, revision {component.revision}, from {entry.origin}")
    click.echo(f"source: {component.source}")
    if issubclass(component, Attack):
        queries = ", at most `query_budget` queries for each query image" if component.access != "gradient" else ""
        click.echo(f"access: {component.access}{queries}")
    click.echo(f"\n{inspect.getdoc(component)}\n")
    schema = component.model_json_schema()
    rows = list(_options(schema, schema.get("$defs", {}), ""))
    headers, widths = ("option", "type", "default", "meaning"), [None, 44, 24, 80]
    table = tabulate(rows, headers, "simple", disable_numparse=True, maxcolwidths=widths)
    click.echo(f"{table}\n" if rows else "no options\n")


def _options(schema: dict[str, Any], nested: dict[str, Any], prefix: str) -> Iterator[tuple[str, str, str, str]]:
    """Yield name, type, default and meaning of each option; options of a nested component have its name as a prefix."""
    for option, field in schema.get("properties", {}).items():
        inner = field.get("$ref", "").rpartition("/")[2]
        if "properties" in nested.get(inner, {}):
            yield from _options(nested[inner], nested, f"{prefix}{option}.")
            continue
        default = json.dumps(field.get("default")) if "default" in field else "required"
        yield f"{prefix}{option}", _type(field), default, field.get("description", "")


def _type(schema: dict[str, Any]) -> str:
    """Return the type and range of an option's JSON schema in words."""
    if "anyOf" in schema:
        return " or ".join(_type(choice) for choice in schema["anyOf"])
    if "enum" in schema or "const" in schema:
        return "|".join(map(str, schema.get("enum", [schema.get("const")])))
    signs = {"exclusiveMinimum": ">", "minimum": ">=", "exclusiveMaximum": "<", "maximum": "<="}
    bounds = " ".join(f"{sign}{schema[bound]:g}" for bound, sign in signs.items() if bound in schema)
    return f"{schema.get('type', 'any')} {bounds}".strip()
