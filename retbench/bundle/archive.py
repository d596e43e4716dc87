"""Write and read the zip file of a bundle: equal members give equal bytes, and a reader checks every byte."""

from __future__ import annotations

import io
import re
import stat
import zipfile
import zlib
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

from retbench.bundle.records import ManifestRecord, parse_record, read_json
from retbench.canon import Json, canonical
from retbench.errors import BundleError

FORMAT = 3
"""Version of the members and their names; a reader refuses any other."""
MANIFEST = "bundle.json"
MAX_BYTES, MAX_MEMBERS = 500 * 10**6, 200_000
"""Limits of an unpacked bundle."""
MAX_RATIO, MIN_RATIO_BYTES = 200, 10**6
"""A member larger than MIN_RATIO_BYTES may unpack to at most MAX_RATIO times its packed size."""
_NAME = re.compile(r"[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*")
_DIRECTORY_ENTRY = b"PK\x01\x02"
_ZIP_ERRORS = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    ValueError,
    ArithmeticError,
    RuntimeError,
    OSError,
    LookupError,
)
_CHUNK = 1 << 16


def write_archive(path: Path, members: Mapping[str, bytes], fields: Mapping[str, Json]) -> bytes:
    """Return the bytes of a zip file with these members and a manifest of their sizes and digests.

    Equal members give equal bytes: members are sorted, and times are left out.

    Args:
        path: named in messages; nothing is written.
        members: the bytes by name.
        fields: further fields of the manifest.

    Raises:
        BundleError: a name that `read_archive` refuses, or more bytes or members than it reads.
    """
    listing: dict[str, Json] = {
        name: {"sha256": sha256(data).hexdigest(), "size": len(data)} for name, data in sorted(members.items())
    }
    manifest = canonical({**fields, "format": FORMAT, "members": listing}).encode()
    for name in members:
        _check_name(path, name)
    _check_limits(path, len(members) + 1, sum(map(len, members.values())) + len(manifest))
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, data in sorted({**members, MANIFEST: manifest}.items()):
            entry = zipfile.ZipInfo(name)
            entry.create_system, entry.external_attr = 3, (stat.S_IFREG | 0o644) << 16
            entry.compress_type = zipfile.ZIP_STORED if _compresses_like_a_bomb(data) else zipfile.ZIP_DEFLATED
            archive.writestr(entry, data)
    return stream.getvalue()


def _compresses_like_a_bomb(data: bytes) -> bool:
    """Return whether a reader would take the compressed data for a zip bomb; labels of sorted images come close."""
    return len(data) > MIN_RATIO_BYTES and len(zlib.compress(data)) * MAX_RATIO / 2 < len(data)


def read_archive(path: Path) -> dict[str, bytes]:
    """Return the members of a bundle by name, the manifest included; nothing is written to the disk.

    Raises:
        BundleError: not a bundle; another format; a member that is not a plain file with a plain relative name, occurs
            twice, is not in the manifest, is missing, was changed, or unpacks to too many bytes. The message names the
            member.
    """
    data = _read_file(path)
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
    except _ZIP_ERRORS:
        raise BundleError(f"{path}: not a bundle: not a zip file, or one that was cut short") from None
    with archive:
        entries = _read_directory(path, archive)
        if MANIFEST not in entries:
            raise BundleError(f"{path}: not a bundle: {MANIFEST} is missing")
        text = _unpack(path, archive, entries[MANIFEST])
        _check_format(path, text)
        manifest = parse_record(f"{path}: {MANIFEST}", text, ManifestRecord)
        _check_manifest(path, entries, manifest)
        members = {name: _unpack(path, archive, entries[name]) for name in manifest.members}
    for name, listed in manifest.members.items():
        if sha256(members[name]).hexdigest() != listed.sha256:
            raise BundleError(f"{path}: {name}: changed after the bundle was written: its sha256 differs")
    return {**members, MANIFEST: text}


def _read_file(path: Path) -> bytes:
    try:
        with open(path, "rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise BundleError(f"{path}: cannot be read: {error.strerror}") from None
    # Entries are counted before the directory is parsed: a small file may list members by the million.
    _check_limits(path, data.count(_DIRECTORY_ENTRY), len(data))
    return data


def _check_limits(path: Path, members: int, size: int) -> None:
    if members > MAX_MEMBERS:
        raise BundleError(f"{path}: too many members: got {members}, expected at most {MAX_MEMBERS}")
    if size > MAX_BYTES:
        raise BundleError(f"{path}: too large: got {size} bytes, expected at most {MAX_BYTES}")


def _check_name(path: Path, name: str) -> None:
    if not _NAME.fullmatch(name) or {".", ".."} & set(name.split("/")):
        raise BundleError(f"{path}: {name!r}: not a plain relative file name")


def _read_directory(path: Path, archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """Return the entries of the directory by name; raises BundleError for one that must not be unpacked."""
    entries: dict[str, zipfile.ZipInfo] = {}
    for entry in archive.infolist():
        _check_name(path, entry.orig_filename)
        if entry.orig_filename in entries:
            raise BundleError(f"{path}: {entry.orig_filename}: occurs twice")
        if problem := _find_problem(entry):
            raise BundleError(f"{path}: {entry.orig_filename}: {problem}")
        entries[entry.orig_filename] = entry
    _check_limits(path, len(entries), sum(entry.file_size for entry in entries.values()))
    return entries


def _find_problem(entry: zipfile.ZipInfo) -> str:
    """Return why an entry must not be unpacked; empty if it may be."""
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if entry.is_dir() or entry.external_attr & 0x10 or kind not in (0, stat.S_IFREG):
        return "not a plain file: got a folder, a link or a device"
    if entry.flag_bits & 0x41:
        return "encrypted: expected a member without a password"
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return f"unsupported compression: got method {entry.compress_type}, expected stored or deflate"
    if entry.file_size > MIN_RATIO_BYTES and entry.file_size > MAX_RATIO * entry.compress_size:
        return (
            f"a zip bomb: got {entry.file_size} bytes from {entry.compress_size} packed ones, "
            f"expected at most {MAX_RATIO} times as many"
        )
    return ""


def _unpack(path: Path, archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    """Return the bytes of a member; reading stops at the size that the directory states."""
    pieces, size = [], 0
    try:
        with archive.open(entry) as stream:
            while size <= entry.file_size and (piece := stream.read(_CHUNK)):
                pieces.append(piece)
                size += len(piece)
    except _ZIP_ERRORS:
        raise BundleError(f"{path}: {entry.filename}: damaged: its data do not match its header") from None
    if size != entry.file_size:
        raise BundleError(f"{path}: {entry.filename}: wrong size: got {size} bytes, expected {entry.file_size}")
    return b"".join(pieces)


def _check_format(path: Path, text: bytes) -> None:
    """Raise BundleError for another format; checked first, because every other field may differ in it."""
    manifest = read_json(f"{path}: {MANIFEST}", text)
    version = manifest.get("format") if isinstance(manifest, dict) else None
    if isinstance(version, int) and version > FORMAT:
        raise BundleError(
            f"{path}: {MANIFEST}: a newer bundle format: got {version}, expected {FORMAT}; update retbench"
        )
    if isinstance(version, int) and version < FORMAT:
        raise BundleError(
            f"{path}: {MANIFEST}: an older bundle format: got {version}, expected {FORMAT}; run the suite again with "
            "this version and export a new bundle, or read it with the version of retbench that wrote it"
        )


def _check_manifest(path: Path, entries: Mapping[str, zipfile.ZipInfo], manifest: ManifestRecord) -> None:
    """Raise BundleError unless the directory and the manifest list the same members with the same sizes."""
    for name in manifest.members.keys() - entries.keys():
        raise BundleError(f"{path}: {name!r}: missing from the zip file, but listed in {MANIFEST}")
    for name in entries.keys() - manifest.members.keys() - {MANIFEST}:
        raise BundleError(f"{path}: {name}: not listed in {MANIFEST}")
    for name, listed in manifest.members.items():
        if entries[name].file_size != listed.size:
            got = entries[name].file_size
            raise BundleError(f"{path}: {name}: wrong size: got {got} bytes, expected {listed.size}")
