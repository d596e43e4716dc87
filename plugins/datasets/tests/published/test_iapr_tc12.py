"""IAPR TC-12 as a data set."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from retbench_datasets.published.iapr_tc12 import IaprTc12
from retbench_datasets.published.iapr_tc12_pairs import IaprTc12Pairs

from retbench.testing import check_component

SIZES = {"train": 20, "query": 10, "database": 40}


@pytest.fixture
def folder(data: Path, lists: Callable[..., None], picture: Callable[..., None]) -> Path:
    """Lists and texts written by hand: three classes, four numbers a text, training rows from the database."""
    root, source = data / "iapr-tc12", np.random.default_rng(0)
    names = [f"iaprtc12/images/00/{number}.jpg" for number in range(20)]
    labels, texts = source.integers(0, 2, (20, 3)), source.normal(size=(20, 4)).astype(np.float32)
    for number, name in enumerate(names):
        picture(root / name, number)
    for stem, rows in {"test": range(10), "database": range(10, 20), "train": range(10, 15)}.items():
        lists(root / "crossmodal", stem, [names[row] for row in rows], labels[[*rows]])
        np.save(root / "crossmodal" / f"{stem}_text.npy", texts[[*rows]])
    return root


def test_lists_of_ones_own_keep_the_contract(folder: Path) -> None:
    check_component(IaprTc12(size=32))


def test_the_classes_are_those_of_the_file_of_names_where_it_is_there(folder: Path) -> None:
    assert IaprTc12().facts().classes == ("class-0", "class-1", "class-2")
    (folder / "crossmodal" / "classes.txt").write_text("bush\nman\nzebra\n")
    facts = IaprTc12().facts()
    assert (facts.classes, facts.text_width) == (("bush", "man", "zebra"), 4)


def test_an_empty_folder_says_how_to_get_all_and_that_the_published_file_will_do(data: Path) -> None:
    told = IaprTc12().missing() or ""
    for part in ("saiapr_tc-12/wlist.txt", "iaprtc12.tgz", "IAPR-TC12.mat", "retbench datasets prepare", "Licence:"):
        assert part in told


def test_the_published_file_is_unpacked_and_cut_into_splits(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(IaprTc12Pairs, "sizes", SIZES)
    root, source = data / "iapr-tc12", np.random.default_rng(0)
    root.mkdir()
    pixels = source.integers(0, 256, (50, 3, 224, 224), dtype=np.uint8)
    labels, texts = source.integers(0, 2, (50, 255)), source.normal(size=(50, 1024)).astype(np.float32)
    with h5py.File(root / "IAPR-TC12.mat", "w", userblock_size=512) as file:
        file["IAll"], file["LAll"], file["TAll"] = pixels.transpose(), labels.transpose(), texts.transpose()
    dataset = IaprTc12()
    assert "run `retbench datasets prepare iapr-tc12`" in (dataset.missing() or "")
    list(dataset.prepare())
    assert dataset.missing() is None
    assert dict(dataset.facts().sizes) == SIZES
    rows = [int(Path(name).stem) for name in dataset.ids("query")]
    assert rows == [*range(10)]
    assert torch.equal(dataset.images("query", range(3)), torch.from_numpy(pixels[rows[:3]]))
    np.testing.assert_array_equal(dataset.labels("query").numpy(), labels[rows])
    np.testing.assert_array_equal(dataset.texts("query", range(10)).numpy(), texts[rows])
    assert any("published .mat" in caveat for caveat in dataset.caveats(dataset.facts()))
