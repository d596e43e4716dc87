"""The pictures of hand-made evidence: which there are, what they are called, and their bytes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from retbench.report.figures import make_pictures
from retbench.report.figures.chart import Chart
from retbench.report.tables.layout import printed_name
from retbench.results import Evidence

Make = Callable[..., Evidence]
CELLS: dict[tuple[str, str], dict[str, Any]] = {
    ("none", "none"): {"at": 0.85},
    ("dhta", "none"): {"at": 0.1},
    ("none", "retpur"): {"at": 0.8},
    ("dhta", "retpur"): {"at": 0.6, "cost": {"defense_seconds_per_query": 0.25}},
    ("none", "guard"): {"values": {"certified_radius": torch.linspace(-1, 1, 12)}},
}
KINDS = ["precision-recall", "precision-depth", "certified-recall", "robustness", "cost"]


@pytest.fixture
def charts(monkeypatch: pytest.MonkeyPatch) -> list[Chart]:
    """Collects what would be drawn, and draws nothing."""
    from retbench.report.figures import drawing
    from retbench.report.figures.canvas import Drawn

    found: list[Chart] = []

    def collect(chart: Chart) -> Drawn:
        found.append(chart)
        return Drawn(b"", b"")

    monkeypatch.setattr(drawing, "draw_chart", collect)
    return found


def test_there_is_a_picture_of_each_kind_as_png_and_pdf(evidence: Make) -> None:
    made = make_pictures(evidence(CELLS), "Uni Modal")
    assert [picture.stem for picture in made] == [f"uni-modal-{kind}" for kind in KINDS]
    assert all(picture.png.startswith(b"\x89PNG") and picture.pdf.startswith(b"%PDF") for picture in made)
    assert not any(b"Date" in picture.pdf for picture in made)


def test_made_twice_they_are_the_same(evidence: Make) -> None:
    cells = {cell: told for cell, told in CELLS.items() if cell[1] == "none"}
    assert make_pictures(evidence(cells), "toys") == make_pictures(evidence(cells), "toys")


def test_nothing_is_made_where_nothing_is_known(evidence: Make) -> None:
    bare = {"map_recall": None, "map_depth": None, "depths": None}
    assert make_pictures(evidence({}), "toys") == ()
    assert make_pictures(evidence({("none", "none"): {"status": "missing"}}), "toys") == ()
    assert make_pictures(evidence({("none", "none"): {"values": bare}}), "toys") == ()


def test_seven_panels_make_two_pictures_that_look_alike(evidence: Make, charts: list[Chart]) -> None:
    many = {("none", f"none#{at}"): {"dataset": f"set{at}"} for at in range(7)}
    made = make_pictures(evidence({**many, ("dhta", "none"): {"dataset": "set6"}}), "toys")
    recall = [picture for picture in made if "recall" in picture.stem]
    assert [picture.stem for picture in recall] == ["toys-precision-recall", "toys-precision-recall-2"]
    assert [len(chart.panels) for chart in charts[:2]] == [6, 1]
    assert [picture.title for picture in recall] == [f"Precision over recall ({part} of 2)" for part in (1, 2)]
    assert charts[0].marks == charts[1].marks == ("DHTA",)


def test_stems_are_unique_over_tasks_bits_and_threats(evidence: Make, charts: list[Chart]) -> None:
    cells = dict(CELLS)
    for at, axes in enumerate(({"task": "i2t"}, {"bits": 64}, {"threat": "adaptive"})):
        cells |= {(attack, f"{defense}#{at}"): {**told, **axes} for (attack, defense), told in CELLS.items()}
    stems = [picture.stem for picture in make_pictures(evidence(cells), "toys")]
    assert len(set(stems)) == len(stems) == 4 * len(KINDS)
    assert "toys-robustness-i2i-32-adaptive" in stems


def test_swept_rows_are_drawn_only_where_a_kind_would_have_no_picture(evidence: Make, charts: list[Chart]) -> None:
    swept = {cell: {**told, "variant": "t_p=5"} if cell[1] == "retpur" else told for cell, told in CELLS.items()}
    made = {picture.stem: chart for picture, chart in zip(make_pictures(evidence(swept), "t"), charts, strict=True)}
    assert [line.hue for line in made["t-precision-recall"].panels[0].lines] == ["", ""]
    assert [spot.hue for spot in made["t-robustness"].panels[0].spots] == ["RetPur t_p=5"]


def test_names_are_the_callers(evidence: Make, charts: list[Chart]) -> None:
    make_pictures(evidence(CELLS), "toys", lambda axis, value: f"<{axis} {value}>")
    assert charts[0].panels[0].title == "<dataset digits>, <hasher dpsh>"
    assert charts[0].marks == ("<attack dhta>",)
    assert charts[0].hues == ("<defense retpur>", "<defense guard>")


def test_the_description_has_the_numbers_and_says_what_is_left_out(evidence: Make, charts: list[Chart]) -> None:
    many = {("dhta", f"d{at}"): {"at": 0.1 * at} for at in range(8)}
    recall, _, certified, *_ = make_pictures(evidence({**CELLS, **many}), "toys")
    assert recall.title == "Precision over recall: clean queries, attacks, and defenses under the strongest attack"
    assert "Of the defenses only those under the strongest attack are shown" in recall.alt
    assert "digits, DPSH (best 6 of 9 defenses under DHTA): at a recall of 50 % clean 8" in recall.alt
    assert "pointwise 95 % bootstrap intervals" in recall.alt
    level = 100 * np.mean(evidence(CELLS).scores("key0")["map_depth"][:, 0].double().numpy())
    assert certified.alt.endswith(f"Recall@1 of clean queries, no defense: digits, DPSH {level:.1f} %.")


def test_a_combination_is_named_piece_by_piece() -> None:
    assert printed_name("defense", "atrdh+retpur") == "ATRDH+RetPur"
    assert printed_name("dataset", "unheard-of") == "unheard-of"


def test_importing_it_loads_no_matplotlib() -> None:
    script = "import sys, retbench.report.figures; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
