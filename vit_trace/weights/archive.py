"""Checks the directory of a zip archive before anything in it is read."""

import struct
import zipfile
import zlib
from typing import BinaryIO

from vit_trace.base.words import bytes_text
from vit_trace.config.words import cut
from vit_trace.weights.data import malformed, too_large

MAX_MEMBERS = 100_000
"""Members of an archive; one with more is refused."""

MAX_DIRECTORY = 16 * 2**20
"""Largest zip directory read, in bytes; zipfile reads all of it at once."""

TAIL = 65_557
"""Bytes at the end of a zip file that hold its end record."""

DEFLATE = 1_032
"""Largest number of bytes that deflate unpacks one byte to."""


def check_end(path: str, stream: BinaryIO, size: int) -> None:
    """Raise Refused for an archive that is cut off or whose directory alone would fill memory."""
    stream.seek(max(0, size - TAIL))
    tail = stream.read(TAIL)
    stream.seek(0)
    place = tail.rfind(b"PK\x05\x06")
    if place < 0 or len(tail) < place + 22:
        help = ("the download or the save did not finish: fetch or save it again",)
        what = f"the zip archive is cut off: its directory is not at its end ({bytes_text(size)})"
        raise malformed(path, what, help=help)
    count, directory = struct.unpack_from("<HI", tail, place + 10)
    wide = tail.rfind(b"PK\x06\x06", 0, place)
    if wide >= 0 and len(tail) >= wide + 48:
        more, larger = struct.unpack_from("<QQ", tail, wide + 32)
        count = max(count if count < 0xFFFF else 0, more)
        directory = max(directory if directory < 0xFFFFFFFF else 0, larger)
    if count > MAX_MEMBERS or directory > MAX_DIRECTORY:
        raise too_large(path, f"the zip archive has {count:,} members in a directory of {bytes_text(directory)}")


def check_members(path: str, members: list[zipfile.ZipInfo], size: int) -> None:
    """Raise Refused where members overlap or unpack to more than they can: a zip bomb."""
    if len(members) > MAX_MEMBERS:
        raise too_large(path, f"the zip archive has {len(members):,} members")
    end = 0
    for member in sorted(members, key=lambda member: member.header_offset):
        if member.flag_bits & 1:
            raise malformed(path, f"{cut(member.filename)} in the zip archive is encrypted")
        if member.header_offset < end or member.header_offset + member.compress_size > size:
            raise too_large(path, f"the zip archive's members overlap at {cut(member.filename)}: a zip bomb")
        end = member.header_offset + 30 + member.compress_size
        stored = member.compress_type == zipfile.ZIP_STORED
        if member.file_size > member.compress_size * (1 if stored else DEFLATE) + (0 if stored else 64):
            sizes = f"{bytes_text(member.compress_size)} unpack to {bytes_text(member.file_size)}"
            raise too_large(path, f"the zip archive's {cut(member.filename)}: {sizes}: a zip bomb")


def content(path: str, archive: zipfile.ZipFile, name: str, most: int) -> bytes:
    """A member of at most `most` bytes. Raises Refused."""
    said = archive.getinfo(name).file_size
    if said > most:
        raise too_large(path, f"{cut(name)} in it is {bytes_text(said)}; {bytes_text(most)} are read at most")
    try:
        with archive.open(name) as member:
            return member.read(most)
    except zlib.error as error:
        raise malformed(path, f"{cut(name)} in the zip archive cannot be unpacked: {error}") from None
