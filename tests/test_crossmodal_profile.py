"""The cross-modal suites at the paper's scale: cells without the data, and all of their steps on ten pairs a split."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from retbench.catalog import load_catalog
from retbench.suite import expand, find_suite, read_suite

DATASETS = {
    "wikipedia": (10, 10),
    "iapr-tc12": (255, 1024),
    "flickr25k": (24, 1386),
    "mscoco": (80, 1024),
    "nuswide": (21, 1000),
}
"""Classes and length of a text."""
CELLS = 5 * 2 * (2 * 2 * 3 + 2)
SMALL = {
    **{f"dataset.{name}": {"size": 64} for name in DATASETS},
    "hasher.dgcpn": {"backbone": "conv", "weights": "auto", "hidden": 8, "neighbors": 2, "epochs": 1},
    "hasher.dadh": {"backbone": "conv", "weights": "auto", "hidden": "[8, 8, 8]", "epochs": 1},
    "attack.tadch": {"epochs": 1, "decay_epochs": 0, "width": 4, "blocks": 1, "critic_width": 4, "reconstruction": 1},
    "attack.tadch.prototypes": {"epochs": 1, "hidden": 8, "width": 16},
    "defense.ddpm": {"t_p": 2, "denoiser": "weights/tiny"},
    "defense.retpur": {"t_p": 2, "denoiser": "weights/tiny"},
}
"""What makes a step of the paper's scale a matter of seconds; everything else stays the profile's."""


def write_pairs(root: Path, classes: int, width: int) -> None:
    """Write a cross-modal edition with ten pairs a split: lists, labels, texts, and pictures of noise.

    A training picture has no label, and another an empty text.
    """
    draws = np.random.default_rng(0)
    labels, texts = draws.integers(0, 2, (20, classes)), draws.random((20, width), dtype=np.float32)
    labels[12], texts[13] = 0, 0
    (root / "crossmodal").mkdir(parents=True)
    for number in range(20):
        noise = np.random.default_rng(number).integers(0, 256, (4, 5, 3), dtype=np.uint8)
        Image.fromarray(noise).resize((96, 80)).save(root / f"{number}.png")
    for stem, rows in {"test": range(10), "database": range(10, 20), "train": range(10, 20)}.items():
        names = "".join(f"{row}.png\n" for row in rows)
        (root / "crossmodal" / f"{stem}_img.txt").write_text(names)
        table = "".join(" ".join(map(str, labels[row])) + "\n" for row in rows)
        (root / "crossmodal" / f"{stem}_label.txt").write_text(table)
        np.save(root / "crossmodal" / f"{stem}_text.npy", texts[list(rows)])


def write_denoiser(folder: Path) -> None:
    """Write a denoiser with few weights in the format of a published one."""
    import diffusers

    blocks: dict[str, Any] = {"down_block_types": ("DownBlock2D",) * 2, "up_block_types": ("UpBlock2D",) * 2}
    sizes: dict[str, Any] = {"block_out_channels": (8, 8), "norm_num_groups": 4, "layers_per_block": 1}
    diffusers.UNet2DModel(sample_size=96, **blocks, **sizes).save_pretrained(folder)


def settings(components: dict[str, dict[str, Any]]) -> list[str]:
    """Return the words that set these options on the command line."""
    sets = (
        f"components.{name}.{option}={value}" for name, told in components.items() for option, value in told.items()
    )
    return [word for assignment in sets for word in ("--set", assignment)]


@pytest.mark.parametrize(("suite", "cells"), [("crossmodal", CELLS), ("ablation", 2 * 2 * 9)])
def test_without_the_data_every_cell_is_planned_and_says_how_to_get_it(
    run_paper_profile: Callable[..., Any], suite: str, cells: int
) -> None:
    planned = run_paper_profile("plan", suite)["cells"]
    assert len(planned) == cells
    for cell in planned:
        assert cell["status"] == "skipped"
        assert f"retbench datasets prepare {cell['dataset']}" in cell["reason"]


def test_without_the_weights_of_cnn_f_the_cells_say_where_to_put_them(
    tmp_path: Path, run_paper_profile: Callable[..., Any]
) -> None:
    write_pairs(tmp_path / "data" / "wikipedia", *DATASETS["wikipedia"])
    cells = run_paper_profile("plan", "crossmodal", "--only", "dataset=wikipedia", "--only", "hasher=dadh")["cells"]
    assert len(cells) == CELLS // 10
    assert all("imagenet-vgg-f.mat" in cell["reason"] for cell in cells)


def test_at_the_paper_s_scale_no_option_of_the_small_suite_is_left() -> None:
    catalog, own = load_catalog(), {"dgcpn": {"hidden", "neighbors", "scale", "validation"}}
    path = find_suite("crossmodal")
    cells = expand(read_suite(path, profile="paper"), catalog)
    for hasher in {type(cell.hasher): cell.hasher for cell in cells if cell.dataset.name == "flickr25k"}.values():
        published = type(hasher)(backbone="cnn-f")
        changed = {name for name, value in hasher if value != getattr(published, name)}
        assert changed <= own.get(hasher.name, set()) | {"extra_padding"}, hasher
    for attack in {cell.attack for cell in cells if cell.attack}:
        assert attack == type(attack)()


@pytest.mark.slow
def test_with_ten_pairs_a_split_it_runs(tmp_path: Path, run_paper_profile: Callable[..., Any]) -> None:
    for name, sizes in DATASETS.items():
        write_pairs(tmp_path / "data" / name, *sizes)
    write_denoiser(tmp_path / "weights/tiny")
    # Numbers of training pairs that only a whole dataset has; a setting cannot change what an override sets.
    small = settings(SMALL | {"hasher.dgcpn": {**SMALL["hasher.dgcpn"], "validation": 0}})
    ended = run_paper_profile("run", "crossmodal", *small)
    assert ended["failed"] == 0
    rows = run_paper_profile("results")
    assert len(rows) == CELLS
    done = [row for row in rows if row["status"] == "done"]
    assert len(done) == CELLS
    assert all(0 <= row["metrics"]["map"]["value"] <= 1 for row in done)
    caveats = {caveat for row in done for caveat in row["caveats"]}
    assert any("expected 10500 training rows, got 10" in caveat for caveat in caveats)


@pytest.mark.slow
def test_the_ablation_runs_on_ten_pairs_too(tmp_path: Path, run_paper_profile: Callable[..., Any]) -> None:
    write_pairs(tmp_path / "data" / "wikipedia", *DATASETS["wikipedia"])
    write_denoiser(tmp_path / "weights/tiny")
    names = ("dataset.wikipedia", "hasher.dgcpn", "attack.tadch", "attack.tadch.prototypes")
    small = {name: SMALL[name] for name in names}
    small["defense.retpur"] = {"denoiser": "weights/tiny", "steps": 2}
    small["hasher.dgcpn"] = {**small["hasher.dgcpn"], "validation": 0}
    ended = run_paper_profile("run", "ablation", *settings(small))
    assert (ended["failed"], ended["skipped"]) == (0, 0)
    made = run_paper_profile("report")
    titles = [table["title"] for table in made["tables"]]
    assert titles[0].startswith("Distance metric of the guidance (layout of RetPur, Table 4)")
    assert sum("Purify step" in title for title in titles) == 2


@pytest.mark.slow
def test_cnn_f_runs_at_its_own_size(tmp_path: Path, run_paper_profile: Callable[..., Any]) -> None:
    write_pairs(tmp_path / "data" / "wikipedia", *DATASETS["wikipedia"])
    write_denoiser(tmp_path / "weights/tiny")
    own = {name: options for name, options in SMALL.items() if not name.startswith("dataset")}
    own["hasher.dadh"] = {**own["hasher.dadh"], "backbone": "cnn-f", "weights": "random"}
    only = ("--only", "dataset=wikipedia", "--only", "hasher=dadh")
    assert run_paper_profile("run", "crossmodal", *settings(own), *only)["failed"] == 0
    rows = run_paper_profile("results")
    assert {row["status"] for row in rows} == {"done"}
    assert any("random weights" in caveat for row in rows for caveat in row["caveats"])
