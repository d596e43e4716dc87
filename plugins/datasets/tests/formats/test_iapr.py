"""The original files of IAPR TC-12 and SAIAPR TC-12."""

from __future__ import annotations

from pathlib import Path

import pytest
from retbench_datasets.formats.iapr import label_files, names_file, read_described_images

from retbench import UserError

ANNOTATION = """<DOC>
<DOCNO>annotations/{folder}/{number}.eng</DOCNO>
<TITLE>Plaza &</TITLE>
<DESCRIPTION>{text}</DESCRIPTION>
<NOTES></NOTES>
<LOCATION>Cochabamba, Bolivia</LOCATION>
<DATE>1 February 2002</DATE>
<IMAGE>images/{folder}/{number}.jpg</IMAGE>
</DOC>
"""


def annotate(root: Path, number: int, text: str) -> None:
    folder = f"{number // 1000:02d}"
    path = root / "iaprtc12" / "annotations_complete_eng" / folder / f"{number}.eng"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(ANNOTATION.format(folder=folder, number=number, text=text).encode("cp1252"))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a download of four images in two folders, with five label names of which three are used."""
    for folder, lines in {
        "00": "25\t1\t120\n25\t2\t9\n25\t3\t120\n112\t1\t9\n",
        "39": "39001 1 77 \n\n39000 1 9\n",
    }.items():
        (tmp_path / "saiapr_tc-12" / folder).mkdir(parents=True)
        (tmp_path / "saiapr_tc-12" / folder / "labels.txt").write_text(lines)
    (tmp_path / "saiapr_tc-12" / "wlist.txt").write_text("1\tair\n9\tbush\n77\tice-cream cone\n120\tman\n276\tzebra\n")
    annotate(tmp_path, 25, "a yellow building; two palm trees & a caf\xe9;\n the \u2019square\u2019;")
    annotate(tmp_path, 112, "")
    annotate(tmp_path, 39001, "snow")
    return tmp_path


def test_images_have_the_labels_of_all_their_regions(root: Path) -> None:
    found = read_described_images(root)
    assert found.names == tuple(f"iaprtc12/images/{name}.jpg" for name in ("00/25", "00/112", "39/39000", "39/39001"))
    assert found.classes == ("bush", "ice-cream cone", "man")
    assert found.labels.tolist() == [[1, 0, 1], [1, 0, 0], [1, 0, 0], [0, 1, 0]]


def test_a_text_is_the_description_in_cp1252(root: Path) -> None:
    assert read_described_images(root).texts == (
        "a yellow building; two palm trees & a caf\xe9; the \u2019square\u2019;",
        "",
        "",
        "snow",
    )


def test_an_image_without_annotation_is_a_remark(root: Path) -> None:
    assert read_described_images(root).remarks == ("1 images have no annotation and an empty text, first 39/39000.eng",)


def test_annotations_and_names_may_be_one_folder_higher(root: Path) -> None:
    before = read_described_images(root)
    (root / "iaprtc12" / "annotations_complete_eng").rename(root / "annotations_complete_eng")
    (root / "saiapr_tc-12" / "wlist.txt").rename(root / "wlist.txt")
    after = read_described_images(root)
    assert (after.texts, after.classes) == (before.texts, before.classes)


@pytest.mark.parametrize("folder", ["", "benchmark"])
def test_labels_may_be_placed_as_in_the_archive(root: Path, folder: str) -> None:
    before = read_described_images(root)
    (root / "benchmark").mkdir()
    (root / "saiapr_tc-12").rename(root / "benchmark" / "saiapr_tc-12")
    (root / "benchmark" / "saiapr_tc-12" / "wlist.txt").rename(root / folder / "wlist.txt")
    after = read_described_images(root)
    assert (after.names, after.classes) == (before.names, before.classes)
    assert names_file(root) == root / folder / "wlist.txt"


def test_incomplete_lines_are_skipped_with_a_remark(root: Path) -> None:
    path = root / "saiapr_tc-12" / "39" / "labels.txt"
    path.write_text("39001 1 77\n39000 1\n39000 2 9\n39000\n")
    found = read_described_images(root)
    assert found.remarks[0] == "2 incomplete lines of region labels were skipped, first 39/labels.txt:2"
    assert found.labels[2].tolist() == [1, 0, 0]


@pytest.mark.parametrize("line", ["39001 1 tree", "39001 1 77 3", "39001.0 1 77", "39001 1 -2"])
def test_a_malformed_region_line_is_reported(root: Path, line: str) -> None:
    (root / "saiapr_tc-12" / "39" / "labels.txt").write_text(f"39001 1 77\n{line}\n")
    with pytest.raises(UserError, match=r"39/labels.txt:2: got '.*', expected three numbers: image, region and label"):
        read_described_images(root)


@pytest.mark.parametrize("line", ["", "77\n", "77\t \n"])
def test_a_label_without_a_name_is_named_by_its_number(root: Path, line: str) -> None:
    (root / "saiapr_tc-12" / "wlist.txt").write_text(f"9\tbush\n{line}120\tman\n")
    found = read_described_images(root)
    assert found.classes == ("bush", "label-77", "man")
    assert "wlist.txt has no name for label 77" in found.remarks


def test_an_unused_label_needs_no_name(root: Path) -> None:
    with (root / "saiapr_tc-12" / "wlist.txt").open("a") as stream:
        stream.write("277\n")
    assert len(read_described_images(root).remarks) == 1


def test_equal_names_are_made_unique_by_their_numbers(root: Path) -> None:
    (root / "saiapr_tc-12" / "wlist.txt").write_text("9\tman\n77\tice\n120\tman\n")
    found = read_described_images(root)
    assert found.classes == ("man", "ice", "man (label 120)")
    assert "wlist.txt has the same name for label 120 and another label: 'man'" in found.remarks
    (root / "saiapr_tc-12" / "wlist.txt").write_text("9\tman (label 120)\n77\tman\n120\tman\n")
    assert len({*read_described_images(root).classes}) == 3


def test_the_first_of_two_names_is_used(root: Path) -> None:
    (root / "saiapr_tc-12" / "wlist.txt").write_text("9\tbush\n77\tice\n120\tman\n77\tsnow\n")
    found = read_described_images(root)
    assert found.classes == ("bush", "ice", "man")
    assert "wlist.txt has several names for label 77: the first, 'ice', is used" in found.remarks


def test_a_list_of_names_without_numbers_is_refused(root: Path) -> None:
    (root / "saiapr_tc-12" / "wlist.txt").write_text("9\tbush\nman\n")
    with pytest.raises(UserError, match=r"wlist.txt:2: got 'man', expected a label number and a name"):
        read_described_images(root)


def test_an_annotation_without_description_is_reported(root: Path) -> None:
    path = root / "iaprtc12" / "annotations_complete_eng" / "00" / "25.eng"
    path.write_text("<DOC><TITLE>Plaza</TITLE></DOC>")
    with pytest.raises(UserError, match=r"25.eng: it has no description: expected <DESCRIPTION>"):
        read_described_images(root)


def test_bytes_outside_cp1252_are_reported(root: Path) -> None:
    path = root / "iaprtc12" / "annotations_complete_eng" / "00" / "25.eng"
    path.write_bytes(b"<DESCRIPTION>\x81</DESCRIPTION>")
    with pytest.raises(UserError, match=r"25.eng: it is not cp1252: got byte 0x81 at 13"):
        read_described_images(root)


def test_missing_folders_are_reported(root: Path) -> None:
    (root / "iaprtc12").rename(root / "moved")
    with pytest.raises(UserError, match=r"annotations_complete_eng: no such folder"):
        read_described_images(root)
    (root / "moved").rename(root / "iaprtc12")
    for path in label_files(root):
        path.unlink()
    with pytest.raises(UserError, match=r"saiapr_tc-12: there are no labels"):
        read_described_images(root)


def test_label_files_without_images_are_refused(root: Path) -> None:
    for path in label_files(root):
        path.write_text("\n")
    with pytest.raises(UserError, match=r"labels.txt: no labeled image in this file or the 1 other label files"):
        read_described_images(root)
