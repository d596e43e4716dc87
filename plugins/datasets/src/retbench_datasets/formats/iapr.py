"""The original files of IAPR TC-12 and of SAIAPR TC-12, which labels regions of the same images.

    iaprtc12/images/<NN>/<id>.jpg                          <NN> is <id> // 1000, in two digits
    iaprtc12/annotations_complete_eng/<NN>/<id>.eng        cp1252; SGML-like tags, the text in <DESCRIPTION>
    saiapr_tc-12/<NN>/labels.txt                           lines `image-id region-id label-id`
    saiapr_tc-12/wlist.txt                                 lines `label-id name`

The folder of annotations may also be next to `iaprtc12`, `wlist.txt` next to `saiapr_tc-12`, and `saiapr_tc-12` in
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
"""Number of labels that the regions of the whole dataset have."""
DESCRIPTION = re.compile(r"<DESCRIPTION>(.*?)</DESCRIPTION>", re.DOTALL | re.IGNORECASE)


class DescribedImages(NamedTuple):
    """The labeled images with their descriptions, by ascending image number.

    Attributes:
        names: image paths below the folder.
        labels: uint8 (N, C), multi-hot: the union of the labels of an image's regions.
        classes: unique names of the C label numbers in use, by ascending number.
        texts: descriptions; empty for an image without an annotation.
        remarks: irregularities of the files that a reader should know; without paths of this machine.
    """

    names: tuple[str, ...]
    labels: NDArray[np.uint8]
    classes: tuple[str, ...]
    texts: tuple[str, ...]
    remarks: tuple[str, ...]


def read_described_images(root: Path) -> DescribedImages:
    """Read labels and descriptions of all labeled images from a folder of original files, but no image file.

    Raises:
        UserError: a file or folder is missing or malformed; names file and line.
    """
    if not (annotations := annotations_folder(root)).is_dir():
        raise UserError(f"{annotations}: no such folder: expected the folder of the image descriptions")
    if not (files := label_files(root)):
        raise UserError(f"{_labels_folder(root)}: there are no labels: expected 00/labels.txt and so on")
    labels_of, label_remarks = _read_region_labels(files)
    numbers = sorted({label for labels in labels_of.values() for label in labels})
    column_of = {label: column for column, label in enumerate(numbers)}
    table = np.zeros((len(labels_of), len(numbers)), dtype=np.uint8)
    images = sorted(labels_of)
    for row, image in enumerate(images):
        table[row, [column_of[label] for label in labels_of[image]]] = 1
    texts = [_read_description(annotations / _numbered_path(image, "eng")) for image in images]
    classes, name_remarks = _name_labels(numbers, names_file(root))
    names = tuple(f"iaprtc12/images/{_numbered_path(image, 'jpg')}" for image in images)
    remarks = (*label_remarks, *name_remarks, *_text_remarks(images, texts))
    return DescribedImages(names, table, classes, tuple(text or "" for text in texts), remarks)


def label_files(root: Path) -> tuple[Path, ...]:
    """Return the files of region labels, one per image folder; empty if there are none."""
    return tuple(sorted(_labels_folder(root).glob("[0-9][0-9]/labels.txt")))


def names_file(root: Path) -> Path:
    """Return the file of the label names, or its expected path."""
    folder = _labels_folder(root)
    return _choose_path(folder / "wlist.txt", _choose_path(folder.parent / "wlist.txt", root / "wlist.txt"))


def annotations_folder(root: Path) -> Path:
    """Return the folder of English annotations, or its expected path."""
    return _choose_path(root / "iaprtc12" / "annotations_complete_eng", root / "annotations_complete_eng")


def _labels_folder(root: Path) -> Path:
    return _choose_path(root / "saiapr_tc-12", root / "benchmark" / "saiapr_tc-12")


def _choose_path(usual: Path, alternative: Path) -> Path:
    return alternative if alternative.exists() and not usual.exists() else usual


def _numbered_path(image: int, suffix: str) -> str:
    return f"{image // 1000:02d}/{image}.{suffix}"


def _read_region_labels(paths: Sequence[Path]) -> tuple[dict[int, set[int]], list[str]]:
    """Return the label numbers of each image, and a remark if lines are incomplete."""
    labels_of: dict[int, set[int]] = {}
    incomplete = []
    for path in paths:
        for line, values in _read_values(path):
            if len(values) < 3:
                incomplete.append(f"{path.parent.name}/{path.name}:{line}")
            elif len(values) > 3 or not all(value.isdecimal() for value in values):
                expected = "three numbers: image, region and label"
                raise UserError(f"{path}:{line}: got {' '.join(values)!r}, expected {expected}")
            else:
                labels_of.setdefault(int(values[0]), set()).add(int(values[2]))
    if not labels_of:
        raise UserError(f"{paths[0]}: no labeled image in this file or the {len(paths) - 1} other label files")
    if not incomplete:
        return labels_of, []
    return labels_of, [f"{len(incomplete)} incomplete lines of region labels were skipped, first {incomplete[0]}"]


def _name_labels(numbers: Iterable[int], path: Path) -> tuple[tuple[str, ...], list[str]]:
    """Return a unique name for each label number, and remarks on names that differ from those in the file."""
    listed = _read_label_names(path)
    named: dict[str, int] = {}
    remarks = []
    for number in numbers:
        candidates = listed.get(number, [])
        name = candidates[0] if candidates else f"label-{number}"
        if not candidates:
            remarks.append(f"{path.name} has no name for label {number}")
        elif len(candidates) > 1:
            remarks.append(f"{path.name} has several names for label {number}: the first, {name!r}, is used")
        if name in named:
            remarks.append(f"{path.name} has the same name for label {number} and another label: {name!r}")
            while name in named:  # the longer name may belong to another label, too
                name = f"{name} (label {number})"
        named[name] = number
    return tuple(named), remarks


def _read_label_names(path: Path) -> dict[int, list[str]]:
    """Return the distinct names of each label number, in file order; empty for a line without a name."""
    listed: dict[int, list[str]] = {}
    for line, values in _read_values(path):
        if not values[0].isdecimal():
            raise UserError(f"{path}:{line}: got {' '.join(values)!r}, expected a label number and a name")
        names, name = listed.setdefault(int(values[0]), []), " ".join(values[1:])
        if name and name not in names:
            names.append(name)
    return listed


def _read_values(path: Path) -> Iterable[tuple[int, list[str]]]:
    """Return the line number and the values of each line that is not empty."""
    text = _read_cp1252(path)
    return ((line, values) for line, row in enumerate(text.split("\n"), start=1) if (values := row.split()))


def _read_description(path: Path) -> str | None:
    """Return the description in a file, with single spaces; None if there is no such file."""
    if not path.is_file():
        return None
    match = DESCRIPTION.search(_read_cp1252(path))
    if match is None:
        raise UserError(f"{path}: it has no description: expected <DESCRIPTION>...</DESCRIPTION>")
    return " ".join(match.group(1).split())


def _read_cp1252(path: Path) -> str:
    try:
        return path.read_bytes().decode("cp1252")
    except OSError as error:
        raise UserError(f"{path}: it cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: it is not cp1252: got byte {error.object[error.start]:#x} at {error.start}") from None


def _text_remarks(images: Sequence[int], texts: Sequence[str | None]) -> Iterable[str]:
    missing = [image for image, text in zip(images, texts, strict=True) if text is None]
    if missing:
        yield f"{len(missing)} images have no annotation and an empty text, first {_numbered_path(missing[0], 'eng')}"
