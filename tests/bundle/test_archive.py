"""The zip file of a bundle: written reproducibly, and every byte checked when it is read."""

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
from tests.bundle.conftest import add_manifest, zip_members

MEMBERS = {"a.json": b"{}", "labels/b.bin": bytes(range(256)) * 40}
FIELDS = {"retbench": "0.1.0", "title": "t", "run": "r"}
DIRECTORY_ENTRY = b"PK\x01\x02"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    target = tmp_path / "run.zip"
    target.write_bytes(write_archive(target, MEMBERS, FIELDS))
    return target


def read_error(path: Path) -> str:
    """Return the message, without the path, that reading a bundle fails with."""
    with pytest.raises(BundleError) as caught:
        read_archive(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message.removeprefix(f"{path}: ")


def read_members_or_error(path: Path) -> dict[str, bytes] | str:
    """Return the members of a bundle, or the message that reading it fails with."""
    try:
        return read_archive(path)
    except BundleError as error:
        return str(error)


def add_entry(path: Path, name: str, change: Callable[[zipfile.ZipInfo], None]) -> Path:
    """Add an entry to a bundle, after a change of its header."""
    entry = zipfile.ZipInfo(name)
    change(entry)
    with zipfile.ZipFile(path, "a") as file:
        file.writestr(entry, b"x")
    return path


def patch_directory(path: Path, offset: int, layout: str, value: int) -> Path:
    """Overwrite a field in the first entry of the directory."""
    data = bytearray(path.read_bytes())
    struct.pack_into(layout, data, data.index(DIRECTORY_ENTRY) + offset, value)
    path.write_bytes(bytes(data))
    return path


def test_written_members_are_read_together_with_the_manifest(path: Path) -> None:
    members = read_archive(path)
    assert {name: data for name, data in members.items() if name != "bundle.json"} == MEMBERS
    manifest = json.loads(members["bundle.json"])
    assert manifest["format"] == archive.FORMAT
    assert manifest["title"] == "t"
    assert manifest["members"]["labels/b.bin"]["size"] == 256 * 40


def test_equal_members_give_equal_bytes_in_any_order(tmp_path: Path) -> None:
    other = dict(reversed(MEMBERS.items()))
    assert write_archive(tmp_path, MEMBERS, FIELDS) == write_archive(tmp_path, other, FIELDS)


def test_a_member_that_compresses_like_a_bomb_is_stored_uncompressed(tmp_path: Path) -> None:
    members = {"labels/sorted.bin": bytes(3 * archive.MIN_RATIO_BYTES)}
    path = tmp_path / "run.zip"
    path.write_bytes(write_archive(path, members, FIELDS))
    assert read_archive(path)["labels/sorted.bin"] == members["labels/sorted.bin"]


@pytest.mark.parametrize("data", [b"", b"not a zip", b"PK\x05\x06", b"PK\x03\x04" + bytes(100)])
def test_bytes_that_are_no_zip_file_are_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "run.zip").write_bytes(data)
    assert "not a zip file" in read_error(tmp_path / "run.zip")


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    assert "cannot be read: No such file" in read_error(tmp_path / "none.zip")


@settings(max_examples=60)
@given(share=st.floats(0, 1, exclude_max=True))
def test_a_file_cut_short_anywhere_is_refused(tmp_path_factory: pytest.TempPathFactory, share: float) -> None:
    path = tmp_path_factory.mktemp("cut") / "run.zip"
    data = write_archive(path, MEMBERS, FIELDS)
    path.write_bytes(data[: int(share * len(data))])
    assert "not a zip file, or one that was cut short" in read_error(path)


@settings(max_examples=150)
@given(position=st.floats(0, 1, exclude_max=True), value=st.integers(0, 255))
def test_a_flipped_byte_gives_the_same_members_or_an_error_of_one_line(
    tmp_path_factory: pytest.TempPathFactory, position: float, value: int
) -> None:
    path = tmp_path_factory.mktemp("flip") / "run.zip"
    data = bytearray(write_archive(path, MEMBERS, FIELDS))
    data[int(position * len(data))] = value
    path.write_bytes(bytes(data))
    result = read_members_or_error(path)
    assert "\n" not in result if isinstance(result, str) else {name: result[name] for name in MEMBERS} == MEMBERS


@settings(max_examples=150)
@given(name=st.text(min_size=1, max_size=30) | st.from_regex(r"[./\\A-Za-z:]{1,12}", fullmatch=True))
def test_a_name_that_is_not_plain_and_relative_is_refused(tmp_path_factory: pytest.TempPathFactory, name: str) -> None:
    path = tmp_path_factory.mktemp("names") / "run.zip"
    stream = io.BytesIO()
    try:
        with zipfile.ZipFile(stream, "w") as file:
            for member, data in add_manifest({name: b"x"}).items():
                file.writestr(member, data)
    except (UnicodeEncodeError, ValueError, UserWarning, IndexError):
        return  # zipfile cannot write such a name: it cuts names at a NUL and fails on an empty rest
    path.write_bytes(stream.getvalue())
    result = read_members_or_error(path)
    if isinstance(result, str):
        assert "\n" not in result
        return
    (extra,) = result.keys() - {"bundle.json"}
    assert not Path(extra).is_absolute()
    assert ".." not in Path(extra).parts
    assert extra.isascii()
    assert not set(extra) & set("\\: \0")


@pytest.mark.parametrize("name", ["../up", "a/../../up", "/etc/passwd", "a\\b", "C:/x", "C:x", "a//b", "./a", "", "ü"])
def test_a_name_that_leaves_the_folder_is_refused(path: Path, name: str) -> None:
    assert read_error(add_entry(path, name, lambda entry: None)) == f"{name!r}: not a plain relative file name"


def test_a_name_that_leaves_the_folder_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="not a plain relative file name"):
        write_archive(tmp_path, {"../up": b""}, FIELDS)


def make_link(entry: zipfile.ZipInfo) -> None:
    entry.create_system, entry.external_attr = 3, (stat.S_IFLNK | 0o777) << 16


def make_folder(entry: zipfile.ZipInfo) -> None:
    entry.external_attr = 0x10


@pytest.mark.parametrize("change", [make_link, make_folder])
def test_links_and_folders_are_refused(path: Path, change: Callable[[zipfile.ZipInfo], None]) -> None:
    assert "odd: not a plain file" in read_error(add_entry(path, "odd", change))


def test_a_name_that_ends_in_a_slash_is_refused(path: Path) -> None:
    assert "not a plain relative file name" in read_error(add_entry(path, "odd/", lambda entry: None))


def test_a_name_that_occurs_twice_is_refused(path: Path) -> None:
    with pytest.warns(UserWarning, match="Duplicate"):
        add_entry(path, "a.json", lambda entry: None)
    assert read_error(path) == "a.json: occurs twice"


def test_an_encrypted_member_is_refused(path: Path) -> None:
    assert read_error(patch_directory(path, 8, "<H", 1)) == "a.json: encrypted: expected a member without a password"


def test_an_unknown_compression_is_refused(path: Path) -> None:
    assert "a.json: unsupported compression: got method 12" in read_error(patch_directory(path, 10, "<H", 12))


def test_a_missing_member_is_refused(tmp_path: Path) -> None:
    members = add_manifest(MEMBERS)
    del members["a.json"]
    message = read_error(zip_members(tmp_path / "run.zip", members))
    assert message == "'a.json': missing from the zip file, but listed in bundle.json"


def test_a_zip_without_a_manifest_is_not_a_bundle(tmp_path: Path) -> None:
    assert read_error(zip_members(tmp_path / "run.zip", MEMBERS)) == "not a bundle: bundle.json is missing"


def test_a_member_that_the_manifest_does_not_list_is_refused(path: Path) -> None:
    assert read_error(add_entry(path, "extra", lambda entry: None)) == "extra: not listed in bundle.json"


def test_a_size_that_differs_from_the_manifest_is_refused(tmp_path: Path) -> None:
    members = {**add_manifest(MEMBERS), "a.json": b"{} "}
    assert read_error(zip_members(tmp_path / "run.zip", members)) == "a.json: wrong size: got 3 bytes, expected 2"


def test_a_changed_member_is_refused(tmp_path: Path) -> None:
    members = {**add_manifest(MEMBERS), "a.json": b"[]"}
    message = read_error(zip_members(tmp_path / "run.zip", members))
    assert message == "a.json: changed after the bundle was written: its sha256 differs"


def test_a_newer_format_is_refused_before_other_fields_are_read(tmp_path: Path) -> None:
    members = {"bundle.json": b'{"format": 4, "new": {}}'}
    assert "a newer bundle format: got 4, expected 3" in read_error(zip_members(tmp_path / "run.zip", members))


def test_an_older_format_is_refused_before_other_fields_are_read(tmp_path: Path) -> None:
    members = {"bundle.json": b'{"format": 1, "old": {}}'}
    assert "an older bundle format: got 1, expected 3; run the suite again" in read_error(
        zip_members(tmp_path / "run.zip", members)
    )


@pytest.mark.parametrize("text", [b"", b"[]", b'{"format": NaN}', b"[" * 100_000, b'{"format": 2}', b"\xff"])
def test_an_invalid_manifest_is_refused(tmp_path: Path, text: bytes) -> None:
    assert read_error(zip_members(tmp_path / "run.zip", {"bundle.json": text})).startswith("bundle.json: ")


def test_a_zip_bomb_is_refused_by_its_directory(tmp_path: Path) -> None:
    path = zip_members(tmp_path / "run.zip", add_manifest({"bomb": bytes(20 * archive.MIN_RATIO_BYTES)}))
    assert "bomb: a zip bomb: got 20000000 bytes" in read_error(path)


def test_members_that_are_too_large_together_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = zip_members(tmp_path / "run.zip", add_manifest(MEMBERS))
    monkeypatch.setattr(archive, "MAX_BYTES", path.stat().st_size + 100)
    assert "too large: got" in read_error(path)
    with pytest.raises(BundleError, match="too large"):
        write_archive(path, MEMBERS, FIELDS)


def test_a_zip_bomb_with_a_false_size_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = add_manifest({"bomb": bytes(10)})["bundle.json"]
    path = zip_members(tmp_path / "run.zip", {"bomb": bytes(50 * archive.MIN_RATIO_BYTES), "bundle.json": manifest})
    unpacked: list[int] = []
    read = zipfile.ZipExtFile.read

    def read_and_count(stream: zipfile.ZipExtFile, n: int | None = -1) -> bytes:
        piece = read(stream, n)
        unpacked.append(len(piece))
        return piece

    monkeypatch.setattr(zipfile.ZipExtFile, "read", read_and_count)
    assert read_error(patch_directory(path, 24, "<I", 10)).startswith("bomb: damaged: ")
    assert sum(unpacked) < archive.MIN_RATIO_BYTES


def test_a_directory_of_too_many_members_is_not_parsed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = zip_members(tmp_path / "run.zip", {str(number): b"" for number in range(50)})
    monkeypatch.setattr(archive, "MAX_MEMBERS", 49)
    monkeypatch.setattr(zipfile, "ZipFile", None)
    assert read_error(path) == "too many members: got 50, expected at most 49"
