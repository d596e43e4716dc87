"""Bundles as the source of a report."""

from __future__ import annotations

import json
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from retbench.bundle import open_bundle
from retbench.report import Gallery
from retbench.report.gallery.exhibit import Exhibit, Hit, Ranking
from retbench.report.published.claims import shipped_claims
from retbench.study.bundles import join_galleries, open_bundles, read_galleries
from retbench.suite import read_selection
from tests.bundle.conftest import edit_json
from tests.cli.conftest import Retbench

LEDGER = """\
claims: mine
paper: Mine
title: What was printed
authors: Nobody
source: the paper
decimals: 2
cells: {bits: 16, task: i2i}
tables:
  - table: 1
    title: All
    across: [dataset]
    columns: [[toy]]
    rows:
      - {printed: toy, metric: map, attack: none, defense: none, hasher: toy, values: [VALUE]}
"""


@pytest.fixture
def export(retbench: Retbench, toys: Path) -> Callable[..., Path]:
    """Run the toy suite, perhaps a part of it, and exports it."""

    def exported(name: str, *narrowed: str) -> Path:
        assert retbench("run", "toy.yaml", *narrowed).code == 0
        ended = retbench("results", "export", "toy.yaml", name, *narrowed, "--force")
        assert ended.code == 0, ended.err
        return toys / name

    return exported


def told(retbench: Retbench, *words: str) -> Any:
    ended = retbench("report", *words, "--json")
    assert ended.code == 0, ended.err
    return json.loads(ended.out)


def tables(made: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a report's tables without the line that says which bundle they come from."""
    kept = [[line for line in table["provenance"] if line[0] != "source"] for table in made["tables"]]
    return [{**table, "provenance": lines} for table, lines in zip(made["tables"], kept, strict=True)]


def failed(retbench: Retbench, *words: str) -> str:
    ended = retbench("report", *words)
    assert ended.code == 2
    assert ended.err.count("\n") == 1
    return ended.err.removeprefix("error: ").rstrip("\n")


def test_only_keeps_rows_of_a_bundle(retbench: Retbench, export: Callable[..., Path]) -> None:
    export("run.zip")
    stored, bundled = (told(retbench, name, "--only", "attack=none") for name in ("toy.yaml", "run.zip"))
    assert tables(bundled) == tables(stored)
    assert bundled["tables"] != told(retbench, "run.zip")["tables"]
    assert told(retbench, "run.zip", "--only", "bits=16")["tables"] == told(retbench, "run.zip")["tables"]


@pytest.mark.parametrize(
    ("only", "message"),
    [
        ("attack", "--only: expected axis=value[,value], got 'attack'"),
        ("atack=none", "--only: axis: unknown name: got 'atack', expected one of "),
        ("attack=p2p", "--only: attack of these rows: unknown name: got 'p2p', expected one of none, toy"),
    ],
)
def test_a_wrong_only_is_refused_as_for_a_suite(
    retbench: Retbench, export: Callable[..., Path], only: str, message: str
) -> None:
    export("run.zip")
    assert failed(retbench, "run.zip", "--only", only).startswith(message)


def test_only_without_a_row_left_is_refused(retbench: Retbench, export: Callable[..., Path]) -> None:
    path = export("run.zip")

    def change(rows: Any) -> None:
        for row in rows:
            row["status"] = "missing" if row["attack"] == "toy" else row["status"]

    edit_json(path, "rows.json", change)
    assert "no row with numbers is left" in failed(retbench, "run.zip", "--only", "attack=toy")


@pytest.mark.parametrize(
    "words", [("--profile", "quick"), ("--set", "shard=2"), ("--device", "cpu"), ("--precision", "bf16")]
)
def test_what_changes_a_suite_does_not_go_with_bundles(
    retbench: Retbench, export: Callable[..., Path], words: tuple[str, str]
) -> None:
    export("run.zip")
    assert failed(retbench, "run.zip", *words).startswith(f"report: {words[0]} goes with a suite")


def test_every_shipped_ledger_goes_along(export: Callable[..., Path]) -> None:
    claims = open_bundle(export("run.zip")).claims
    assert claims == {name: path.read_text() for name, path in shipped_claims().items()}
    assert open_bundles([Path("run.zip")], read_selection()).ledger(None) is None


def test_a_suites_own_ledger_is_read_from_its_bundle(
    retbench: Retbench, export: Callable[..., Path], change: Callable[[str, str], None], toys: Path
) -> None:
    own = toys / "far away" / "mine.yaml"
    own.parent.mkdir()
    own.write_text(LEDGER.replace("VALUE", "12.34"))
    change("report: {layout:", f"report: {{claims: {own}, layout:")
    path = export("run.zip")
    own.unlink()
    source = open_bundles([path], read_selection())
    ledger = source.ledger(None)
    assert ledger is not None
    assert [claim.value for claim in ledger.claims] == [12.34]
    assert source.ledger("…/far away/mine.yaml") == ledger
    (retpur,) = [ledger for ledger in [source.ledger("retpur")] if ledger]
    assert retpur.name != ledger.name
    assert str(toys).encode() not in path.read_bytes()


def test_bundles_with_two_ledgers_are_not_guessed_at(
    retbench: Retbench, export: Callable[..., Path], change: Callable[[str, str], None], toys: Path
) -> None:
    (toys / "mine.yaml").write_text(LEDGER.replace("VALUE", "12.34"))
    change("report: {layout:", "report: {claims: mine.yaml, layout:")
    export("one.zip", "--only", "attack=none")
    export("same.zip", "--only", "attack=toy")
    (toys / "mine.yaml").write_text(LEDGER.replace("VALUE", "43.21"))
    export("two.zip", "--only", "attack=toy")
    assert told(retbench, "one.zip", "same.zip")["tables"]
    message = failed(retbench, "one.zip", "two.zip")
    assert message == (
        "report: different published numbers: got mine.yaml of one.zip and mine.yaml of two.zip; "
        "choose some with --against NAME or FILE"
    )
    assert told(retbench, "one.zip", "two.zip", "--against", "retpur")["tables"]


def test_a_bundles_ledger_may_name_what_only_its_rows_name(export: Callable[..., Path], tmp_path: Path) -> None:
    path = export("run.zip")
    edit_json(path, "claims.json", lambda claims: claims.update(own=LEDGER.replace("VALUE", "1.0")))
    ledger = open_bundles([path], read_selection()).ledger("own")
    assert ledger is not None
    assert ledger.claims[0].axes["dataset"] == "toy"


def picture(level: int) -> bytes:
    stream = BytesIO()
    Image.new("RGB", (2, 2), (level, level, level)).save(stream, "PNG")
    return stream.getvalue()


def gallery(query: str, *levels: int) -> Gallery:
    """Return a gallery of one exhibit, whose pictures are in the order of the levels of gray."""
    hits = (Hit(2, 1, True, False), Hit(0, 2, False, True))
    rankings = tuple(Ranking(label, 0.5, 0.25, hits) for label in ("before", "under attack"))
    which: Any = "median change"
    made = Exhibit("Toy", "Toy", "Toy", "", query, which, 0.5, "a", "b", 10.0, 0, 1, 2, None, rankings)
    return Gallery((made,), tuple(map(picture, levels)))


def test_galleries_are_joined_with_every_picture_once() -> None:
    one, other = gallery("q1", 10, 20, 30), gallery("q2", 40, 10, 50)
    both = join_galleries([one, other])
    assert both is not None
    assert both.images == tuple(map(picture, (10, 20, 30, 40, 50)))
    assert [exhibit.query for exhibit in both.exhibits] == ["q1", "q2"]
    second = both.exhibits[1]
    for place, before in ((second.clean, 0), (second.perturbation, 1), (second.attacked, 2)):
        assert both.images[place] == other.images[before]
    assert second.purified is None
    for ranking in second.rankings:
        assert [both.images[hit.image] for hit in ranking.hits] == [other.images[2], other.images[0]]


def test_equal_exhibits_are_there_once_and_no_gallery_is_none() -> None:
    assert join_galleries([gallery("q", 1, 2, 3)] * 2) == gallery("q", 1, 2, 3)
    assert join_galleries([]) is None


def test_the_galleries_of_all_bundles_are_reported(export: Callable[..., Path]) -> None:
    paths = [export("clean.zip", "--only", "attack=none"), export("attacked.zip", "--only", "defense=none")]
    counts = [sum(len(each.exhibits) for each in read_galleries(open_bundle(path))) for path in paths]
    both = open_bundles(paths, read_selection()).gallery()
    assert both is not None
    assert len(both.exhibits) == sum(counts) > 0
    assert open_bundles(paths, read_selection(["attack=none"])).gallery() is None
