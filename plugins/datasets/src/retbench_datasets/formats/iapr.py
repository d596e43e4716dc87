"""The original files of IAPR TC-12 and of SAIAPR TC-12, which labels regions of the same images.

    iaprtc12/images/<NN>/<id>.jpg                          <NN> is <id> // 1000, in two digits
    iaprtc12/annotations_complete_eng/<NN>/<id>.eng        cp1252; tags as in SGML, the text in <DESCRIPTION>
    saiapr_tc-12/<NN>/labels.txt                           lines `image-id region-id label-id`
    saiapr_tc-12/wlist.txt                                 lines `label-id name`

The folder of annotations may also lie beside `iaprtc12`, `wlist.txt` beside `saiapr_tc-12`, and `saiapr_tc-12` in
`benchmark`, as in its archive.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from retbench import UserError

CLASSES = 255
"""Labels that the regions of the whole set have."""
DESCRIPTION = re.compile(r"<DESCRIPTION>(.*?)</DESCRIPTION>", re.DOTALL | re.IGNORECASE)


class DescribedImages(NamedTuple):
    """The labeled pictures, by ascending number.

    Attributes:
        names: paths of the pictures below the folder.
        labels: uint8 (N, C), multi-hot: the union of the labels of a picture's regions.
        classes: names of the C label numbers that occur, by ascending number; unique.
        texts: descriptions; empty for a picture without an annotation.
        remarks: what a reader should know; no paths of this machine are in them.
    """

    names: tuple[str, ...]
    labels: NDArray[np.uint8]
    classes: tuple[str, ...]
    texts: tuple[str, ...]
    remarks: tuple[str, ...]


def read_described_images(root: Path) -> DescribedImages:
    """Returns the pictures that have a label in a folder of original files; picture files are not looked at.

    Raises:
        UserError: a file or folder is not there or malformed; names file and line.
    """
    if not (annotations := annotations_folder(root)).is_dir():
        raise UserError(f"{annotations}: no such folder: expected one with a text for each picture")
    if not (files := label_files(root)):
        raise UserError(f"{_labeled_folder(root)}: no labels are there: expected 00/labels.txt and so on")
    regions, short = _read_regions(files)
    numbers = sorted({label for found in regions.values() for label in found})
    column_of = {label: column for column, label in enumerate(numbers)}
    labels = np.zeros((len(regions), len(numbers)), dtype=np.uint8)
    pictures = sorted(regions)
    for row, picture in enumerate(pictures):
        labels[row, [column_of[label] for label in regions[picture]]] = 1
    texts = [_read_text(annotations / _below(picture, "eng")) for picture in pictures]
    classes, doubts = _name(numbers, names_file(root))
    names = tuple(f"iaprtc12/images/{_below(picture, 'jpg')}" for picture in pictures)
    remarks = (*short, *doubts, *_lost_texts(pictures, texts))
    return DescribedImages(names, labels, classes, tuple(text or "" for text in texts), remarks)


def label_files(root: Path) -> tuple[Path, ...]:
    """Returns the files of region labels, one for each folder of pictures; empty where there is none."""
    return tuple(sorted(_labeled_folder(root).glob("[0-9][0-9]/labels.txt")))


def names_file(root: Path) -> Path:
    """Returns the file of the labels' names, or where it would lie."""
    folder = _labeled_folder(root)
    return _first(folder / "wlist.txt", _first(folder.parent / "wlist.txt", root / "wlist.txt"))


def annotations_folder(root: Path) -> Path:
    """Returns the folder of English annotations, or where it would lie."""
    return _first(root / "iaprtc12" / "annotations_complete_eng", root / "annotations_complete_eng")


def _labeled_folder(root: Path) -> Path:
    return _first(root / "saiapr_tc-12", root / "benchmark" / "saiapr_tc-12")


def _first(usual: Path, other: Path) -> Path:
    return other if other.exists() and not usual.exists() else usual


def _below(picture: int, suffix: str) -> str:
    return f"{picture // 1000:02d}/{picture}.{suffix}"


def _read_regions(paths: Sequence[Path]) -> tuple[dict[int, set[int]], list[str]]:
    """Returns the label numbers of each picture, and a remark if lines were cut short."""
    regions: dict[int, set[int]] = {}
    short = []
    for path in paths:
        for line, values in _lines(path):
            if len(values) < 3:
                short.append(f"{path.parent.name}/{path.name}:{line}")
            elif len(values) > 3 or not all(value.isdecimal() for value in values):
                expected = "picture, region and label, three numbers"
                raise UserError(f"{path}:{line}: got {' '.join(values)!r}, expected {expected}")
            else:
                regions.setdefault(int(values[0]), set()).add(int(values[2]))
    if not regions:
        raise UserError(f"{paths[0]}: it labels no picture, nor do the other {len(paths) - 1} files")
    remark = f"{len(short)} lines of region labels were cut short and passed over, first {short[0]}" if short else None
    return regions, [remark] if remark else []


def _name(numbers: Iterable[int], path: Path) -> tuple[tuple[str, ...], list[str]]:
    """Returns a name for each label number, all unlike, and remarks about those that are not just the file's."""
    listed = _read_names(path)
    named: dict[str, int] = {}
    doubts = []
    for number in numbers:
        candidates = listed.get(number, [])
        name = candidates[0] if candidates else f"label-{number}"
        if not candidates:
            doubts.append(f"{path.name} does not name label {number}")
        elif len(candidates) > 1:
            doubts.append(f"{path.name} gives label {number} several names: the first, {name!r}, is taken")
        if name in named:
            doubts.append(f"{path.name} gives label {number} the name of another: {name!r}")
            while name in named:  # the longer name may be another's, too
                name = f"{name} (label {number})"
        named[name] = number
    return tuple(named), doubts


def _read_names(path: Path) -> dict[int, list[str]]:
    """Returns the names of each label number, unlike ones in the order of the file; lines without a name are none."""
    listed: dict[int, list[str]] = {}
    for line, values in _lines(path):
        if not values[0].isdecimal():
            raise UserError(f"{path}:{line}: got {' '.join(values)!r}, expected a label's number and its name")
        names, name = listed.setdefault(int(values[0]), []), " ".join(values[1:])
        if name and name not in names:
            names.append(name)
    return listed


def _lines(path: Path) -> Iterable[tuple[int, list[str]]]:
    """Yields number and values of each line that is not empty."""
    text = _decoded(path)
    return ((line, values) for line, row in enumerate(text.split("\n"), start=1) if (values := row.split()))


def _read_text(path: Path) -> str | None:
    """Returns the description, its white space as single blanks; None where there is no such file."""
    if not path.is_file():
        return None
    found = DESCRIPTION.search(_decoded(path))
    if found is None:
        raise UserError(f"{path}: it has no description: expected <DESCRIPTION>...</DESCRIPTION>")
    return " ".join(found.group(1).split())


def _decoded(path: Path) -> str:
    try:
        return path.read_bytes().decode("cp1252")
    except OSError as error:
        raise UserError(f"{path}: it cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: it is not cp1252: got byte {error.object[error.start]:#x} at {error.start}") from None


def _lost_texts(pictures: Sequence[int], texts: Sequence[str | None]) -> Iterable[str]:
    lost = [picture for picture, text in zip(pictures, texts, strict=True) if text is None]
    if lost:
        yield f"{len(lost)} pictures have no annotation and an empty text, first {_below(lost[0], 'eng')}"
