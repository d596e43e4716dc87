"""What the cross-modal editions share: nine files, given by hand or built."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Generator
from pathlib import Path

import numpy as np
import pytest
from retbench_datasets.editions.crossmodal_edition import DRAWN_CAVEAT
from retbench_datasets.editions.crossmodal_source import ImageTextPairs
from retbench_datasets.editions.crossmodal_splits import edition_files
from retbench_datasets.formats.wikipedia import features_path, list_path
from retbench_datasets.published.flickr25k import Flickr25k
from retbench_datasets.published.iapr_tc12 import IaprTc12, IaprTc12Source
from retbench_datasets.published.mscoco import Mscoco
from retbench_datasets.published.wikipedia import Wikipedia, WikipediaSource
from scipy.io import savemat

from retbench import UserError

CrossmodalFolder = Callable[..., Path]


@pytest.fixture
def root(data: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The download of four queries and eight training rows, without their pictures."""
    monkeypatch.setattr(WikipediaSource, "sizes", {"train": 8, "query": 4, "database": 8})
    root = data / "wikipedia"
    root.mkdir()
    for part, rows in (("test", range(4)), ("train", range(4, 12))):
        list_path(root, part).write_text("".join(f"t{row}-1\ti{row}\t1\n" for row in rows))
    savemat(features_path(root), {"T_te": np.ones((4, 10)), "T_tr": np.eye(8, 10)})
    return root


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_an_empty_folder_is_told_all_that_is_not_there(data: Path) -> None:
    told = Flickr25k(edition="crossmodal").missing() or ""
    folder = data / "flickr25k" / "crossmodal"
    assert told.startswith(f"{folder}: not there: train_img.txt, train_label.txt, train_text.npy, test_img.txt, ")
    assert "; the other files are there" not in told


def test_files_by_hand_need_nothing_else(crossmodal_folder: CrossmodalFolder) -> None:
    root = crossmodal_folder(Flickr25k)
    dataset = Flickr25k(edition="crossmodal")
    assert dataset.missing() is None
    assert list(dataset.prepare()) == [f"{root / 'crossmodal'}: all lists and texts are there"]
    assert dataset.caveats(dataset.facts()) == (
        "expected 5000 training rows, got 10: not the published split",
        "expected 2000 query rows, got 10: not the published split",
        "expected 18015 database rows, got 10: not the published split",
        "expected texts of length 1386, got 3: not the published texts",
    )


def test_one_text_file_that_is_not_there_is_told(crossmodal_folder: CrossmodalFolder) -> None:
    root = crossmodal_folder(Flickr25k)
    (root / "crossmodal" / "test_text.npy").unlink()
    told = Flickr25k(edition="crossmodal").missing() or ""
    assert told.startswith(
        f"{root / 'crossmodal'}: not there: test_text.npy; the other files are there. To get it: (1)"
    )


def test_a_picture_that_is_not_there_is_told_with_its_line(crossmodal_folder: CrossmodalFolder) -> None:
    root = crossmodal_folder(Flickr25k)
    (root / "pictures" / "3.jpg").unlink()
    told = Flickr25k(edition="crossmodal").missing() or ""
    path = root / "pictures" / "3.jpg"
    assert told.startswith(
        f"{root / 'crossmodal' / 'test_img.txt'}:4: no such picture: {path}. To get the pictures: (1)"
    )


def test_a_download_makes_the_steps_short(root: Path) -> None:
    assert (Wikipedia().missing() or "").endswith("To get it: run `retbench datasets prepare wikipedia`")


def test_preparing_writes_nine_files_and_their_record_and_nothing_else(root: Path) -> None:
    folder = root / "crossmodal"
    assert list(Wikipedia().prepare()) == [
        f"{root}: 4 official queries, 8 training rows",
        f"{folder}: train_img.txt, train_label.txt, train_text.npy, 8 rows",
        f"{folder}: test_img.txt, test_label.txt, test_text.npy, 4 rows",
        f"{folder}: database_img.txt, database_label.txt, database_text.npy, 8 rows",
    ]
    assert set(contents(folder)) == {path.name for path in edition_files(folder)} | {"prepared.json"}
    assert (Wikipedia().missing() or "").startswith(f"{folder / 'train_img.txt'}:1: no such picture: ")


def test_a_second_time_changes_nothing(root: Path) -> None:
    list(Wikipedia().prepare())
    before = contents(root / "crossmodal")
    assert list(Wikipedia().prepare()) == [f"{root / 'crossmodal'}: all lists and texts are there"]
    shutil.rmtree(root / "crossmodal")
    list(Wikipedia().prepare())
    assert contents(root / "crossmodal") == before


def test_what_an_interrupted_call_left_is_completed(root: Path) -> None:
    list(Wikipedia().prepare())
    before = contents(root / "crossmodal")
    for name in ("database_img.txt", "database_text.npy", "test_label.txt"):
        (root / "crossmodal" / name).unlink()
    (root / "crossmodal" / "draft").mkdir()
    (root / "crossmodal" / "draft" / "train_text.npy").write_bytes(b"half")
    assert len(list(Wikipedia().prepare())) == 4
    assert contents(root / "crossmodal") == before


def test_files_of_somebody_else_are_never_replaced(root: Path) -> None:
    list(Wikipedia().prepare())
    mine = root / "crossmodal" / "test_label.txt"
    mine.write_text("0 1 0 0 0 0 0 0 0 0\n" * 4)
    (root / "crossmodal" / "database_text.npy").unlink()
    before = contents(root / "crossmodal")
    with pytest.raises(UserError, match=r"test_label.txt: retbench did not write it, .*: got 8 of nine files"):
        list(Wikipedia().prepare())
    assert contents(root / "crossmodal") == before


@pytest.mark.parametrize("database", [7, 9])
def test_another_number_of_rows_is_refused_and_nothing_is_listed(
    root: Path, monkeypatch: pytest.MonkeyPatch, database: int
) -> None:
    monkeypatch.setattr(WikipediaSource, "sizes", {"train": 7, "query": 4, "database": database})
    with pytest.raises(UserError, match=rf"labels and texts: got 12, expected {4 + database}"):
        list(Wikipedia().prepare())
    assert [path for path in edition_files(root / "crossmodal") if path.exists()] == []


def test_a_text_that_is_not_finite_is_refused_and_nothing_is_listed(root: Path) -> None:
    savemat(features_path(root), {"T_te": np.full((4, 10), np.nan), "T_tr": np.eye(8, 10)})
    with pytest.raises(UserError, match=r"raw_features.mat: T_te: row 0: a text must be finite .*: got nan"):
        list(Wikipedia().prepare())
    assert [path for path in edition_files(root / "crossmodal") if path.exists()] == []


def test_a_folder_that_cannot_be_made_is_told(root: Path) -> None:
    (root / "crossmodal").write_text("a file")
    with pytest.raises(UserError, match=r"crossmodal/draft: it cannot be made: "):
        list(Wikipedia().prepare())


def test_drawn_splits_are_a_caveat_until_a_list_is_replaced(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(WikipediaSource, "arrangement", lambda self, root: "drawn")
    monkeypatch.setattr(WikipediaSource, "remarks", ("made of wool",))
    dataset = Wikipedia()
    list(dataset.prepare())
    assert dataset.caveats(dataset.facts()) == (DRAWN_CAVEAT, "made of wool")
    with (root / "crossmodal" / "test_label.txt").open("a") as stream:
        stream.write("\n")
    assert dataset.caveats(dataset.facts()) == ("made of wool",)
    path = root / "crossmodal" / "test_text.npy"
    np.save(path, np.load(path) + 1)
    assert dataset.caveats(dataset.facts()) == ()


def test_what_was_found_in_the_download_is_a_caveat_until_all_is_replaced(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = WikipediaSource.read

    def remarking(self: WikipediaSource, root: Path, draft: Path) -> Generator[str, None, ImageTextPairs]:
        return (yield from read(self, root, draft))._replace(remarks=("two rows were strange",))

    monkeypatch.setattr(WikipediaSource, "read", remarking)
    dataset = Wikipedia()
    list(dataset.prepare())
    assert dataset.caveats(dataset.facts()) == ("two rows were strange",)
    with (root / "crossmodal" / "test_label.txt").open("a") as stream:
        stream.write("\n")
    assert dataset.caveats(dataset.facts()) == ("two rows were strange",)
    path = root / "crossmodal" / "test_text.npy"
    np.save(path, np.load(path) + 1)
    assert dataset.caveats(dataset.facts()) == ()


def test_another_number_of_classes_is_a_caveat(
    crossmodal_folder: CrossmodalFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = crossmodal_folder(IaprTc12, width=1024)
    monkeypatch.setattr(IaprTc12Source, "sizes", {"train": 10, "query": 10, "database": 10})
    assert IaprTc12().caveats(IaprTc12().facts()) == ()
    for path in (root / "crossmodal").glob("*_label.txt"):
        path.write_text("".join(line[2:] + "\n" for line in path.read_text().splitlines()))
    assert IaprTc12().caveats(IaprTc12().facts()) == ("expected 255 classes, got 254: not the published labels",)


def test_a_broken_record_is_named(root: Path) -> None:
    list(Wikipedia().prepare())
    (root / "crossmodal" / "prepared.json").write_text('{"files": ')
    with pytest.raises(UserError, match=r"crossmodal/prepared.json: it is not what retbench wrote"):
        Wikipedia().caveats(Wikipedia().facts())


def test_stray_arrays_do_not_hide_a_whole_download(root: Path) -> None:
    np.save(root / "label.npy", np.zeros(3))
    np.save(root / "test_feature_vgg19.npy", np.zeros(3))
    list(Wikipedia().prepare())
    assert (root / "crossmodal" / "train_text.npy").is_file()


def test_stray_arrays_in_place_of_a_download_are_refused_and_named(root: Path) -> None:
    features_path(root).unlink()
    np.save(root / "test_feature_vgg19.npy", np.zeros(3))
    with pytest.raises(UserError, match=r"test_feature_vgg19.npy: DGCPN's files .*move these away"):
        list(Wikipedia().prepare())


def test_the_container_comes_last_and_without_bert(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETBENCH_WEIGHTS", str(data / "weights"))
    for dataset in (Mscoco(edition="crossmodal"), IaprTc12()):
        told = dataset.missing() or ""
        order = ["(1) download", "pip install", "hf download", "Then run", "in place of all that, without BERT"]
        assert sorted(order, key=told.index) == order
        assert told.count(str(data / "weights")) == 2  # where it is looked for, and in the command
    other = Flickr25k(edition="crossmodal").missing() or ""
    assert "BERT" not in other
    assert other.endswith(
        "Or, in place of all that, put FLICKR-25K.mat, which the code of TA-DCH links to, or DCMH's "
        f"mirflickr25k-iall.mat, mirflickr25k-lall.mat and mirflickr25k-yall.mat into {data / 'flickr25k'}, and run "
        "the same"
    )
