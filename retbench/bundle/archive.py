"""Zip files of named bytes: written the same way every time, and read without trusting who wrote them."""

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

FORMAT = 2
"""Of the members and their names; a reader refuses a higher one."""
MANIFEST = "bundle.json"
MOST_BYTES, MOST_MEMBERS = 500 * 10**6, 200_000
"""What a bundle may hold unpacked."""
MOST_RATIO, SMALL = 200, 10**6
"""How often its packed size a member may be unpacked, where it is larger than SMALL bytes."""
_NAME = re.compile(r"[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*")
_ENTRY = b"PK\x01\x02"
_BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, ValueError, ArithmeticError, RuntimeError, OSError, LookupError)
_CHUNK = 1 << 16


def write_archive(path: Path, members: Mapping[str, bytes], about: Mapping[str, Json]) -> bytes:
    """Return the bytes of a zip file: the members by name, and a manifest with `about` and their sizes and digests.

    Equal members give equal bytes: times are left out, and members are sorted.

    Args:
        path: names the file in messages; nothing is written.
        members: the bytes by name.
        about: fields of the manifest.

    Raises:
        BundleError: a name that a reader would refuse, or more bytes or members than it would read.
    """
    kept: dict[str, Json] = {
        name: {"sha256": sha256(data).hexdigest(), "size": len(data)} for name, data in sorted(members.items())
    }
    manifest = canonical({**about, "format": FORMAT, "members": kept}).encode()
    for name in members:
        _check_name(path, name)
    _check_total(path, len(members) + 1, sum(map(len, members.values())) + len(manifest))
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, data in sorted({**members, MANIFEST: manifest}.items()):
            entry = zipfile.ZipInfo(name)
            entry.create_system, entry.external_attr = 3, (stat.S_IFREG | 0o644) << 16
            entry.compress_type = zipfile.ZIP_STORED if _too_dense(data) else zipfile.ZIP_DEFLATED
            archive.writestr(entry, data)
    return stream.getvalue()


def _too_dense(data: bytes) -> bool:
    """Return whether a member shrinks nearly as far as a reader takes for a zip bomb; labels of sorted items do."""
    return len(data) > SMALL and len(zlib.compress(data)) * MOST_RATIO / 2 < len(data)


def read_archive(path: Path) -> dict[str, bytes]:
    """Return the members of a bundle by name, its manifest among them; nothing is written to the disk.

    Raises:
        BundleError: not a bundle; one of a newer format; a member that is not a plain file with a plain relative name,
            is there twice, is not in the manifest or is missing, was changed, or unpacks to too much; names the member.
    """
    data = _read(path)
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
    except _BROKEN:
        raise BundleError(f"{path}: not a bundle: not a zip file, or one that was cut short") from None
    with archive:
        entries = _entries(path, archive)
        if MANIFEST not in entries:
            raise BundleError(f"{path}: not a bundle: {MANIFEST} is missing")
        text = _unpack(path, archive, entries[MANIFEST])
        _check_format(path, text)
        manifest = parse_record(f"{path}: {MANIFEST}", text, ManifestRecord)
        _check_listing(path, entries, manifest)
        found = {name: _unpack(path, archive, entries[name]) for name in manifest.members}
    for name, member in manifest.members.items():
        if sha256(found[name]).hexdigest() != member.sha256:
            raise BundleError(f"{path}: {name}: it was changed after the bundle was written")
    return {**found, MANIFEST: text}


def _read(path: Path) -> bytes:
    try:
        with open(path, "rb") as stream:
            data = stream.read(MOST_BYTES + 1)
    except OSError as error:
        raise BundleError(f"{path}: cannot be read: {error.strerror}") from None
    # The directory is counted before it is parsed: a small file may list members by the million.
    _check_total(path, data.count(_ENTRY), len(data))
    return data


def _check_total(path: Path, members: int, size: int) -> None:
    if members > MOST_MEMBERS:
        raise BundleError(f"{path}: too many members: got {members}, expected at most {MOST_MEMBERS}")
    if size > MOST_BYTES:
        raise BundleError(f"{path}: too large: got {size} bytes, expected at most {MOST_BYTES}")


def _check_name(path: Path, name: str) -> None:
    if not _NAME.fullmatch(name) or {".", ".."} & set(name.split("/")):
        raise BundleError(f"{path}: {name!r}: not a plain relative name of a file")


def _entries(path: Path, archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """Return the entries of the directory by name, each of which may be unpacked."""
    entries: dict[str, zipfile.ZipInfo] = {}
    for entry in archive.infolist():
        _check_name(path, entry.orig_filename)
        if entry.orig_filename in entries:
            raise BundleError(f"{path}: {entry.orig_filename}: it is there twice")
        if problem := _problem(entry):
            raise BundleError(f"{path}: {entry.orig_filename}: {problem}")
        entries[entry.orig_filename] = entry
    _check_total(path, len(entries), sum(entry.file_size for entry in entries.values()))
    return entries


def _problem(entry: zipfile.ZipInfo) -> str:
    """Return why an entry may not be unpacked; empty where it may."""
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if entry.is_dir() or entry.external_attr & 0x10 or kind not in (0, stat.S_IFREG):
        return "not a plain file: got a folder, a link or a device"
    if entry.flag_bits & 0x41:
        return "it is encrypted"
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return f"unsupported compression: got method {entry.compress_type}, expected stored or deflate"
    if entry.file_size > SMALL and entry.file_size > MOST_RATIO * entry.compress_size:
        return (
            f"a zip bomb: got {entry.file_size} bytes from {entry.compress_size}, expected at most {MOST_RATIO} times"
        )
    return ""


def _unpack(path: Path, archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    """Return the bytes of a member; stops at the size in the directory, whatever follows in its data."""
    pieces, size = [], 0
    try:
        with archive.open(entry) as stream:
            while size <= entry.file_size and (piece := stream.read(_CHUNK)):
                pieces.append(piece)
                size += len(piece)
    except _BROKEN:
        raise BundleError(f"{path}: {entry.filename}: it is damaged: its data are not what its header says") from None
    if size != entry.file_size:
        raise BundleError(f"{path}: {entry.filename}: wrong size: got {size} bytes, expected {entry.file_size}")
    return b"".join(pieces)


def _check_format(path: Path, text: bytes) -> None:
    """Raise BundleError for another format before anything else of the manifest is read: all of it may differ."""
    manifest = read_json(f"{path}: {MANIFEST}", text)
    found = manifest.get("format") if isinstance(manifest, dict) else None
    if isinstance(found, int) and found > FORMAT:
        raise BundleError(f"{path}: {MANIFEST}: a newer bundle format: got {found}, expected {FORMAT}; update retbench")
    if isinstance(found, int) and found < FORMAT:
        raise BundleError(
            f"{path}: {MANIFEST}: an older bundle format: got {found}, expected {FORMAT}; run the suite again with "
            "this version and export a new bundle, or read it with the version of retbench that wrote it"
        )


def _check_listing(path: Path, entries: Mapping[str, zipfile.ZipInfo], manifest: ManifestRecord) -> None:
    """Raise BundleError unless the directory and the manifest name the same members, of the same sizes."""
    for name in manifest.members.keys() - entries.keys():
        raise BundleError(f"{path}: {name!r}: it is missing")
    for name in entries.keys() - manifest.members.keys() - {MANIFEST}:
        raise BundleError(f"{path}: {name}: it is not in the manifest")
    for name, member in manifest.members.items():
        if entries[name].file_size != member.size:
            got = entries[name].file_size
            raise BundleError(f"{path}: {name}: wrong size: got {got} bytes, expected {member.size}")
