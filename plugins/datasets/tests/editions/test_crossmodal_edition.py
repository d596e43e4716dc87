"""Cross-modal editions: nine files, written by the user or built from a source."""

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
    """Return a download of four queries and eight training rows, without image files."""
    monkeypatch.setattr(WikipediaSource, "sizes", {"train": 8, "query": 4, "database": 8})
    root = data / "wikipedia"
    root.mkdir()
    for split, rows in (("test", range(4)), ("train", range(4, 12))):
        list_path(root, split).write_text("".join(f"t{row}-1\ti{row}\t1\n" for row in rows))
    savemat(features_path(root), {"T_te": np.ones((4, 10)), "T_tr": np.eye(8, 10)})
    return root


def read_files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_all_files_are_reported_missing_in_an_empty_folder(data: Path) -> None:
    message = Flickr25k(edition="crossmodal").missing() or ""
    folder = data / "flickr25k" / "crossmodal"
    assert message.startswith(f"{folder}: missing: train_img.txt, train_label.txt, train_text.npy, test_img.txt, ")
    assert "; the other files exist" not in message


def test_files_written_by_the_user_are_enough(crossmodal_folder: CrossmodalFolder) -> None:
    root = crossmodal_folder(Flickr25k)
    dataset = Flickr25k(edition="crossmodal")
    assert dataset.missing() is None
    assert list(dataset.prepare()) == [f"{root / 'crossmodal'}: all lists and texts exist"]
    assert dataset.caveats(dataset.facts()) == (
        "expected 5000 training rows, got 10: not the published split",
        "expected 2000 query rows, got 10: not the published split",
        "expected 18015 database rows, got 10: not the published split",
        "expected texts of length 1386, got 3: not the published texts",
    )


def test_a_missing_text_file_is_reported(crossmodal_folder: CrossmodalFolder) -> None:
    root = crossmodal_folder(Flickr25k)
    (root / "crossmodal" / "test_text.npy").unlink()
    message = Flickr25k(edition="crossmodal").missing() or ""
    assert message.startswith(f"{root / 'crossmodal'}: missing: test_text.npy; the other files exist. To get it: (1)")


def test_a_missing_image_is_reported_with_its_line(crossmodal_folder: CrossmodalFolder) -> None:
    root = crossmodal_folder(Flickr25k)
    (root / "images" / "3.jpg").unlink()
    message = Flickr25k(edition="crossmodal").missing() or ""
    path = root / "images" / "3.jpg"
    assert message.startswith(
        f"{root / 'crossmodal' / 'test_img.txt'}:4: no such image: {path}. To get the images: (1)"
    )


def test_with_a_complete_download_the_only_step_is_prepare(root: Path) -> None:
    assert (Wikipedia().missing() or "").endswith("To get it: run `retbench datasets prepare wikipedia`")


def test_prepare_writes_nine_files_and_their_record(root: Path) -> None:
    folder = root / "crossmodal"
    assert list(Wikipedia().prepare()) == [
        f"{root}: 4 official queries, 8 training rows",
        f"{folder}: train_img.txt, train_label.txt, train_text.npy, 8 rows",
        f"{folder}: test_img.txt, test_label.txt, test_text.npy, 4 rows",
        f"{folder}: database_img.txt, database_label.txt, database_text.npy, 8 rows",
    ]
    assert set(read_files(folder)) == {path.name for path in edition_files(folder)} | {"prepared.json"}
    assert (Wikipedia().missing() or "").startswith(f"{folder / 'train_img.txt'}:1: no such image: ")


def test_preparing_again_changes_nothing(root: Path) -> None:
    list(Wikipedia().prepare())
    before = read_files(root / "crossmodal")
    assert list(Wikipedia().prepare()) == [f"{root / 'crossmodal'}: all lists and texts exist"]
    shutil.rmtree(root / "crossmodal")
    list(Wikipedia().prepare())
    assert read_files(root / "crossmodal") == before


def test_an_interrupted_prepare_is_completed(root: Path) -> None:
    list(Wikipedia().prepare())
    before = read_files(root / "crossmodal")
    for name in ("database_img.txt", "database_text.npy", "test_label.txt"):
        (root / "crossmodal" / name).unlink()
    (root / "crossmodal" / "draft").mkdir()
    (root / "crossmodal" / "draft" / "train_text.npy").write_bytes(b"half")
    assert len(list(Wikipedia().prepare())) == 4
    assert read_files(root / "crossmodal") == before


def test_files_of_the_user_are_never_replaced(root: Path) -> None:
    list(Wikipedia().prepare())
    mine = root / "crossmodal" / "test_label.txt"
    mine.write_text("0 1 0 0 0 0 0 0 0 0\n" * 4)
    (root / "crossmodal" / "database_text.npy").unlink()
    before = read_files(root / "crossmodal")
    with pytest.raises(UserError, match=r"test_label.txt: retbench did not write this file .*: got 8 of nine files"):
        list(Wikipedia().prepare())
    assert read_files(root / "crossmodal") == before


@pytest.mark.parametrize("database", [7, 9])
def test_a_wrong_number_of_rows_is_refused_and_no_list_is_written(
    root: Path, monkeypatch: pytest.MonkeyPatch, database: int
) -> None:
    monkeypatch.setattr(WikipediaSource, "sizes", {"train": 7, "query": 4, "database": database})
    with pytest.raises(UserError, match=rf"labels and texts: got 12, expected {4 + database}"):
        list(Wikipedia().prepare())
    assert [path for path in edition_files(root / "crossmodal") if path.exists()] == []


def test_a_non_finite_text_is_refused_and_no_list_is_written(root: Path) -> None:
    savemat(features_path(root), {"T_te": np.full((4, 10), np.nan), "T_tr": np.eye(8, 10)})
    with pytest.raises(UserError, match=r"raw_features.mat: T_te: row 0: a text must be finite .*: got nan"):
        list(Wikipedia().prepare())
    assert [path for path in edition_files(root / "crossmodal") if path.exists()] == []


def test_a_folder_that_cannot_be_created_is_reported(root: Path) -> None:
    (root / "crossmodal").write_text("a file")
    with pytest.raises(UserError, match=r"crossmodal/draft: the folder cannot be created: "):
        list(Wikipedia().prepare())


def test_drawn_splits_are_a_caveat_until_a_list_is_replaced(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(WikipediaSource, "row_order", lambda self, root: "drawn")
    monkeypatch.setattr(WikipediaSource, "remarks", ("encoded by a test",))
    dataset = Wikipedia()
    list(dataset.prepare())
    assert dataset.caveats(dataset.facts()) == (DRAWN_CAVEAT, "encoded by a test")
    with (root / "crossmodal" / "test_label.txt").open("a") as stream:
        stream.write("\n")
    assert dataset.caveats(dataset.facts()) == ("encoded by a test",)
    path = root / "crossmodal" / "test_text.npy"
    np.save(path, np.load(path) + 1)
    assert dataset.caveats(dataset.facts()) == ()


def test_remarks_of_the_source_are_caveats_until_all_files_are_replaced(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = WikipediaSource.read

    def read_with_remark(self: WikipediaSource, root: Path, draft: Path) -> Generator[str, None, ImageTextPairs]:
        return (yield from read(self, root, draft))._replace(remarks=("two rows were incomplete",))

    monkeypatch.setattr(WikipediaSource, "read", read_with_remark)
    dataset = Wikipedia()
    list(dataset.prepare())
    assert dataset.caveats(dataset.facts()) == ("two rows were incomplete",)
    with (root / "crossmodal" / "test_label.txt").open("a") as stream:
        stream.write("\n")
    assert dataset.caveats(dataset.facts()) == ("two rows were incomplete",)
    path = root / "crossmodal" / "test_text.npy"
    np.save(path, np.load(path) + 1)
    assert dataset.caveats(dataset.facts()) == ()


def test_a_different_number_of_classes_is_a_caveat(
    crossmodal_folder: CrossmodalFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = crossmodal_folder(IaprTc12, width=1024)
    monkeypatch.setattr(IaprTc12Source, "sizes", {"train": 10, "query": 10, "database": 10})
    assert IaprTc12().caveats(IaprTc12().facts()) == ()
    for path in (root / "crossmodal").glob("*_label.txt"):
        path.write_text("".join(line[2:] + "\n" for line in path.read_text().splitlines()))
    assert IaprTc12().caveats(IaprTc12().facts()) == ("expected 255 classes, got 254: not the published labels",)


def test_a_broken_record_is_reported(root: Path) -> None:
    list(Wikipedia().prepare())
    (root / "crossmodal" / "prepared.json").write_text('{"files": ')
    with pytest.raises(UserError, match=r"crossmodal/prepared.json: it was changed by something other than retbench"):
        Wikipedia().caveats(Wikipedia().facts())


def test_unusable_files_do_not_hide_a_complete_download(root: Path) -> None:
    np.save(root / "label.npy", np.zeros(3))
    np.save(root / "test_feature_vgg19.npy", np.zeros(3))
    list(Wikipedia().prepare())
    assert (root / "crossmodal" / "train_text.npy").is_file()


def test_unusable_files_without_a_download_are_refused(root: Path) -> None:
    features_path(root).unlink()
    np.save(root / "test_feature_vgg19.npy", np.zeros(3))
    with pytest.raises(UserError, match=r"test_feature_vgg19.npy: DGCPN's files .*move these files away"):
        list(Wikipedia().prepare())


def test_the_container_is_the_last_alternative_and_needs_no_bert(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETBENCH_WEIGHTS", str(data / "weights"))
    for dataset in (Mscoco(edition="crossmodal"), IaprTc12()):
        message = dataset.missing() or ""
        order = ["(1) download", "(3) install", "(4) download BERT", "(5) run", "instead of steps (1) to (4)"]
        assert sorted(order, key=message.index) == order
        assert message.count(str(data / "weights")) == 1
    other = Flickr25k(edition="crossmodal").missing() or ""
    assert "BERT" not in other
    assert other.endswith(
        "Alternatively, instead of steps (1) to (2), put FLICKR-25K.mat (linked from the code of TA-DCH), or DCMH's "
        f"mirflickr25k-iall.mat, mirflickr25k-lall.mat and mirflickr25k-yall.mat, into {data / 'flickr25k'} "
        "and install its reader with `pip install 'retbench-datasets[crossmodal]'`"
    )
