"""`retbench verify`: compute the numbers of a bundle again, from the codes and labels in it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from retbench.cli.options import json_option, unused_store_option

if TYPE_CHECKING:
    from retbench.bundle import Finding, Verification

KINDS = {
    "artifact": "artifacts: digests, code counts, recipes, steps",
    "targets": "draws of target labels",
    "recipe": "inputs, names and options of rows",
    "query": "values of each query",
    "summary": "means and confidence intervals of scores",
    "row": "numbers of rows",
    "step": "cost and machine of other steps",
    "bundle": "suite, layouts, claims and gallery",
}
"""Labels of the kinds of findings."""
MAX_SHOWN = 20
"""Disagreements that are printed; `--json` lists all."""


@click.command()
@click.argument("path", type=click.Path(path_type=Path, dir_okay=False))
@unused_store_option
@json_option
def verify(path: Path, as_json: bool) -> None:
    """Verify the numbers of an exported bundle.

    Computes the numbers of the bundle at PATH again from the codes and labels in it, and compares the names, options
    and steps of each row with the recipes behind its score. Contents that nothing in the file can confirm are listed as
    unverifiable, for example the gallery and run times.

    Exit codes: 0 all verifiable values agree, 1 some disagree, 2 not a bundle.
    """
    from retbench.bundle import open_bundle, verify_bundle
    from retbench.study.bundles import read_galleries

    bundle = open_bundle(path)
    read_galleries(bundle)  # raises for a malformed gallery
    verification = verify_bundle(bundle)
    if as_json:
        findings = {name: [finding._asdict() for finding in group] for name, group in verification._asdict().items()}
        click.echo(json.dumps({"title": bundle.evidence.title, "ok": verification.ok, **findings}))
    else:
        rows = bundle.evidence.rows
        click.echo(f"{bundle.evidence.title}: {len(bundle.done_rows)} of {len(rows)} rows have results\n")
        _print_verification(verification)
    if not verification.ok:
        click.get_current_context().exit(1)


def _print_verification(verification: Verification) -> None:
    from tabulate import tabulate

    counts = [_count_kinds(findings) for findings in verification]
    rows = [(label, *(count[kind] or "" for count in counts)) for kind, label in KINDS.items()]
    rows = [row for row in rows if any(row[1:])]
    click.echo(tabulate(rows, ("values", "agree", "disagree", "unverifiable"), "simple", disable_numparse=True))
    if verification.ok:
        click.echo("\nAll values that follow from the codes, labels and recipes agree.")
    if fields := dict.fromkeys(finding.field for finding in verification.unverifiable):
        click.echo("\nUnverifiable, because nothing in the file can confirm them:")
        click.echo("\n".join(f"- {field}" for field in fields))
    if verification.ok:
        return
    shown = verification.disagreed[:MAX_SHOWN]
    table = [(finding.where, finding.field, finding.got, finding.expected) for finding in shown]
    headers = ("where", "field", "in the file", "computed")
    click.echo("\n" + tabulate(table, headers, "simple", disable_numparse=True, maxcolwidths=[None, None, 40, 40]))
    if len(verification.disagreed) > MAX_SHOWN:
        click.echo(f"and {len(verification.disagreed) - MAX_SHOWN} more; --json lists them all")


def _count_kinds(findings: Iterable[Finding]) -> Counter[str]:
    return Counter(finding.kind for finding in findings)
