"""What a zip file may hold before anything of it is believed."""

from __future__ import annotations

import io
import json
import stat
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retbench.bundle import archive
from retbench.bundle.archive import read_archive, write_archive
from retbench.errors import BundleError
from tests.bundle.conftest import sealed, zip_members

HELD = {"a.json": b"{}", "labels/b.bin": bytes(range(256)) * 40}
ABOUT = {"retbench": "0.1.0", "title": "t", "run": "r"}
ENTRY = b"PK\x01\x02"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    target = tmp_path / "run.zip"
    target.write_bytes(write_archive(target, HELD, ABOUT))
    return target


def refused(path: Path) -> str:
    with pytest.raises(BundleError) as caught:
        read_archive(path)
    told = str(caught.value)
    assert told.startswith(f"{path}: ")
    assert "\n" not in told
    return told.removeprefix(f"{path}: ")


def attempted(path: Path) -> dict[str, bytes] | str:
    """Return the members, or the message that they are refused with."""
    try:
        return read_archive(path)
    except BundleError as error:
        return str(error)


def special(path: Path, name: str, change: Callable[[zipfile.ZipInfo], None]) -> Path:
    """Add an entry to a bundle whose directory says something else than a plain file."""
    entry = zipfile.ZipInfo(name)
    change(entry)
    with zipfile.ZipFile(path, "a") as held:
        held.writestr(entry, b"x")
    return path


def patch_directory(path: Path, offset: int, layout: str, value: int) -> Path:
    """Overwrites a field in the first entry of the directory."""
    data = bytearray(path.read_bytes())
    struct.pack_into(layout, data, data.index(ENTRY) + offset, value)
    path.write_bytes(bytes(data))
    return path


def test_what_was_written_is_read_with_the_manifest(path: Path) -> None:
    found = read_archive(path)
    assert {name: data for name, data in found.items() if name != "bundle.json"} == HELD
    manifest = json.loads(found["bundle.json"])
    assert manifest["format"] == archive.FORMAT
    assert manifest["title"] == "t"
    assert manifest["members"]["labels/b.bin"]["size"] == 256 * 40


def test_equal_members_give_equal_bytes_in_any_order(tmp_path: Path) -> None:
    other = dict(reversed(HELD.items()))
    assert write_archive(tmp_path, HELD, ABOUT) == write_archive(tmp_path, other, ABOUT)


def test_a_member_that_shrinks_like_a_bomb_is_stored_so_that_it_can_be_read(tmp_path: Path) -> None:
    members = {"labels/sorted.bin": bytes(3 * archive.SMALL)}
    path = tmp_path / "run.zip"
    path.write_bytes(write_archive(path, members, ABOUT))
    assert read_archive(path)["labels/sorted.bin"] == members["labels/sorted.bin"]


@pytest.mark.parametrize("data", [b"", b"not a zip", b"PK\x05\x06", b"PK\x03\x04" + bytes(100)])
def test_what_is_not_a_zip_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "run.zip").write_bytes(data)
    assert "not a zip file" in refused(tmp_path / "run.zip")


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    assert "cannot be read: No such file" in refused(tmp_path / "none.zip")


@settings(max_examples=60, deadline=None)
@given(kept=st.floats(0, 1, exclude_max=True))
def test_a_file_cut_short_anywhere_is_refused(tmp_path_factory: pytest.TempPathFactory, kept: float) -> None:
    path = tmp_path_factory.mktemp("cut") / "run.zip"
    data = write_archive(path, HELD, ABOUT)
    path.write_bytes(data[: int(kept * len(data))])
    assert "not a zip file, or one that was cut short" in refused(path)


@settings(max_examples=150, deadline=None)
@given(place=st.floats(0, 1, exclude_max=True), value=st.integers(0, 255))
def test_a_flipped_byte_gives_the_same_members_or_one_line(
    tmp_path_factory: pytest.TempPathFactory, place: float, value: int
) -> None:
    path = tmp_path_factory.mktemp("flip") / "run.zip"
    data = bytearray(write_archive(path, HELD, ABOUT))
    data[int(place * len(data))] = value
    path.write_bytes(bytes(data))
    found = attempted(path)
    assert "\n" not in found if isinstance(found, str) else {name: found[name] for name in HELD} == HELD


@settings(max_examples=150, deadline=None)
@given(name=st.text(min_size=1, max_size=30) | st.from_regex(r"[./\\A-Za-z:]{1,12}", fullmatch=True))
def test_a_name_is_plain_and_relative_or_refused(tmp_path_factory: pytest.TempPathFactory, name: str) -> None:
    path = tmp_path_factory.mktemp("names") / "run.zip"
    stream = io.BytesIO()
    try:
        with zipfile.ZipFile(stream, "w") as held:
            for member, data in sealed({name: b"x"}).items():
                held.writestr(member, data)
    except (UnicodeEncodeError, ValueError, UserWarning, IndexError):
        return  # no zip file has such a name; zipfile cuts one at its first NUL, and trips over nothing being left
    path.write_bytes(stream.getvalue())
    found = attempted(path)
    if isinstance(found, str):
        assert "\n" not in found
        return
    (extra,) = found.keys() - {"bundle.json"}
    assert not Path(extra).is_absolute()
    assert ".." not in Path(extra).parts
    assert extra.isascii()
    assert not set(extra) & set("\\: \0")


@pytest.mark.parametrize("name", ["../up", "a/../../up", "/etc/passwd", "a\\b", "C:/x", "C:x", "a//b", "./a", "", "ü"])
def test_names_that_escape_are_refused_by_name(path: Path, name: str) -> None:
    assert refused(special(path, name, lambda entry: None)) == f"{name!r}: not a plain relative name of a file"


def test_a_name_that_escapes_is_not_written_either(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="not a plain relative name"):
        write_archive(tmp_path, {"../up": b""}, ABOUT)


def link(entry: zipfile.ZipInfo) -> None:
    entry.create_system, entry.external_attr = 3, (stat.S_IFLNK | 0o777) << 16


def folder(entry: zipfile.ZipInfo) -> None:
    entry.external_attr = 0x10


@pytest.mark.parametrize("change", [link, folder])
def test_links_and_folders_are_refused(path: Path, change: Callable[[zipfile.ZipInfo], None]) -> None:
    assert "odd: not a plain file" in refused(special(path, "odd", change))


def test_a_folder_by_its_name_is_refused(path: Path) -> None:
    assert "not a plain relative name" in refused(special(path, "odd/", lambda entry: None))


def test_a_name_that_is_there_twice_is_refused(path: Path) -> None:
    with pytest.warns(UserWarning, match="Duplicate"):
        special(path, "a.json", lambda entry: None)
    assert refused(path) == "a.json: it is there twice"


def test_an_encrypted_member_is_refused(path: Path) -> None:
    assert refused(patch_directory(path, 8, "<H", 1)) == "a.json: it is encrypted"


def test_an_unknown_compression_is_refused(path: Path) -> None:
    assert "a.json: unsupported compression: got method 12" in refused(patch_directory(path, 10, "<H", 12))


def test_a_missing_member_is_refused(tmp_path: Path) -> None:
    members = sealed(HELD)
    del members["a.json"]
    assert refused(zip_members(tmp_path / "run.zip", members)) == "'a.json': it is missing"


def test_a_zip_without_a_manifest_is_not_a_bundle(tmp_path: Path) -> None:
    assert refused(zip_members(tmp_path / "run.zip", HELD)) == "not a bundle: bundle.json is missing"


def test_a_member_beside_the_manifest_is_refused(path: Path) -> None:
    assert refused(special(path, "extra", lambda entry: None)) == "extra: it is not in the manifest"


def test_a_size_other_than_the_manifests_is_refused(tmp_path: Path) -> None:
    members = {**sealed(HELD), "a.json": b"{} "}
    assert refused(zip_members(tmp_path / "run.zip", members)) == "a.json: wrong size: got 3 bytes, expected 2"


def test_a_changed_member_is_refused(tmp_path: Path) -> None:
    members = {**sealed(HELD), "a.json": b"[]"}
    told = refused(zip_members(tmp_path / "run.zip", members))
    assert told == "a.json: it was changed after the bundle was written"


def test_a_newer_format_is_refused_whatever_else_it_says(tmp_path: Path) -> None:
    members = {"bundle.json": b'{"format": 3, "new": {}}'}
    assert "a newer bundle format: got 3, expected 2" in refused(zip_members(tmp_path / "run.zip", members))


def test_an_older_format_is_refused_by_its_number(tmp_path: Path) -> None:
    members = {"bundle.json": b'{"format": 1, "old": {}}'}
    assert "an older bundle format: got 1, expected 2; run the suite again" in refused(
        zip_members(tmp_path / "run.zip", members)
    )


@pytest.mark.parametrize("text", [b"", b"[]", b'{"format": NaN}', b"[" * 100_000, b'{"format": 2}', b"\xff"])
def test_a_manifest_that_is_none_is_refused(tmp_path: Path, text: bytes) -> None:
    assert refused(zip_members(tmp_path / "run.zip", {"bundle.json": text})).startswith("bundle.json: ")


def test_a_bomb_is_refused_by_its_directory(tmp_path: Path) -> None:
    path = zip_members(tmp_path / "run.zip", sealed({"bomb": bytes(20 * archive.SMALL)}))
    assert "bomb: a zip bomb: got 20000000 bytes" in refused(path)


def test_many_members_that_are_too_much_together_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = zip_members(tmp_path / "run.zip", sealed(HELD))
    monkeypatch.setattr(archive, "MOST_BYTES", path.stat().st_size + 100)
    assert "too large: got" in refused(path)
    with pytest.raises(BundleError, match="too large"):
        write_archive(path, HELD, ABOUT)


def test_a_bomb_with_a_lying_header_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = sealed({"bomb": bytes(10)})["bundle.json"]
    path = zip_members(tmp_path / "run.zip", {"bomb": bytes(50 * archive.SMALL), "bundle.json": manifest})
    unpacked: list[int] = []
    read = zipfile.ZipExtFile.read

    def counted(stream: zipfile.ZipExtFile, n: int | None = -1) -> bytes:
        piece = read(stream, n)
        unpacked.append(len(piece))
        return piece

    monkeypatch.setattr(zipfile.ZipExtFile, "read", counted)
    assert refused(patch_directory(path, 24, "<I", 10)).startswith("bomb: it")
    assert sum(unpacked) < archive.SMALL


def test_a_directory_of_too_many_members_is_not_parsed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = zip_members(tmp_path / "run.zip", {str(number): b"" for number in range(50)})
    monkeypatch.setattr(archive, "MOST_MEMBERS", 49)
    monkeypatch.setattr(zipfile, "ZipFile", None)
    assert refused(path) == "too many members: got 50, expected at most 49"
