#!/usr/bin/env python3
"""Verify an export pack of an evidence ledger: `python tierproof_verify.py PACK --trust trust.json`.

One file, Python 3.9 or later, standard library only (`cryptography` is used where it is installed: faster, and the only way
to check ML-DSA-44). Shares no code with what wrote the pack. README.md beside it has the format. Exit 0: verified;
1: not verified, the first bad index is named; 2: the input cannot be used.

Read from the bottom: `main`, `Verification.run`, `walk`; then `Entries` (rules of entries), `Trust.open` (signatures), `Tree`.
"""

from __future__ import annotations

import argparse
import base64
import csv
import hashlib
import json
import math
import os
import re
import struct
import sys
import zipfile
import zlib
from bisect import bisect_right
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from functools import lru_cache
from typing import IO, Any, NamedTuple

try:
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
except ImportError:
    Ed25519PublicKey = None  # type: ignore[assignment,misc]
try:
    from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PublicKey
except ImportError:
    MLDSA44PublicKey = None  # type: ignore[assignment,misc]

TOLERANCE = 60  # seconds by which two clocks may differ
LARGEST_ENTRY, LARGEST_NOTE, LARGEST_FILE = 0xFFFF, 1 << 20, 1 << 24
LARGEST_LOG, MOST_BYTES, MOST_NAMES, MOST_FAULTS = 1 << 40, 1 << 38, 1 << 22, 100
COLUMNS = "index recorded_at kind event_type event_id task_id tenant actor safety_class occurred_at reason".split()
FORMULA_STARTS = tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")
START_OF_LINE = re.compile(rb'\{"index":(0|[1-9][0-9]{0,14}),"entry":')
WIDTH, HASH = 256, 32  # of a tile in hashes, of a hash in bytes
ED25519, COSIGNATURE, MLDSA = 1, 4, 6
KEY_SIZES = {ED25519: 32, COSIGNATURE: 32, MLDSA: 1312}
SIGNATURE_SIZES = {ED25519: 64, COSIGNATURE: 8 + 64, MLDSA: 8 + 2420}


class Unusable(Exception):
    """The input is no pack, or no trust file."""


class Wrong(ValueError):
    """Something in the pack is not as it must be."""


# What reading bytes of strangers raises: files, archives, JSON, text, tables. NotImplementedError and RecursionError are RuntimeErrors.
BROKEN = (ValueError, OSError, EOFError, RuntimeError, OverflowError, struct.error, zlib.error, zipfile.BadZipFile, csv.Error)


class Faults:
    """What is wrong, with the index of the entry where one can be named."""

    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []
        self.count, self.exact, self.spans = 0, math.inf, list[tuple[int, int]]()

    def add(self, what: str, index: int | None = None, end: int | None = None) -> None:
        """Note a fault at an index; with `end`, one that lies somewhere from the index on and before the end."""
        self.count += 1
        if len(self.told) < MOST_FAULTS:
            self.told.append({"index": index, "fault": what})
        if index is not None and end is None:
            self.exact = min(self.exact, index)
        elif index is not None and end is not None and len(self.spans) < MOST_FAULTS * MOST_FAULTS:
            self.spans.append((index, end))

    @contextmanager
    def noting(self, what: str, index: int | None = None, end: int | None = None) -> Iterator[None]:
        """Note what a step finds wrong, and go on."""
        try:
            yield
        except BROKEN as error:
            self.add(f"{what}: {error if isinstance(error, Wrong) else type(error).__name__}", index, end)

    def first(self) -> int | None:
        """Return the first bad index: of a span, an exact one in it rather than its start."""
        starts = [start for start, end in self.spans if not start <= self.exact < end]
        return None if (first := min([*starts, self.exact])) == math.inf else int(first)


# Ed25519 (RFC 8032 section 5.1), strict: canonical S and points, no keys of small order; the equation without the cofactor.

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
ROOT_OF_MINUS_ONE = pow(2, (P - 1) // 4, P)
Point = tuple[int, int, int, int]  # extended coordinates


def added(a: Point, b: Point) -> Point:
    """Return the sum of two points."""
    e, f = (a[1] - a[0]) * (b[1] - b[0]), (a[1] + a[0]) * (b[1] + b[0])
    g, h = 2 * a[3] * b[3] * D, 2 * a[2] * b[2]
    w, x, y, z = f - e, h - g, h + g, f + e
    return w * x % P, y * z % P, x * y % P, w * z % P


def times(factor: int, point: Point) -> Point:
    """Return a multiple of a point."""
    result = (0, 1, 1, 0)
    while factor:
        if factor & 1:
            result = added(result, point)
        point, factor = added(point, point), factor >> 1
    return result


def point_of(content: bytes) -> Point | None:
    """Decode a point; None for bytes that are not the one encoding of a point."""
    y = int.from_bytes(content, "little")
    sign, y = y >> 255, y & (1 << 255) - 1
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * ROOT_OF_MINUS_ONE % P
    if y >= P or (x * x - square) % P or (x == 0 and sign):
        return None
    x = P - x if x & 1 != sign else x
    return x, y, 1, x * y % P


BASE = point_of((4 * pow(5, P - 2, P) % P).to_bytes(32, "little")) or (0, 1, 1, 0)


@lru_cache(maxsize=256)
def key_point(key: bytes) -> Point | None:
    """Return the point of a public key; None for one that is not canonical or of small order."""
    point = point_of(key) if len(key) == 32 else None
    x, y, z, _ = times(8, point or (0, 1, 1, 0))
    return None if x == 0 and y == z else point


def ed25519(key: bytes, message: bytes, signature: bytes) -> bool:
    """Tell whether a key signed a message."""
    point = key_point(key)
    if point is None or len(signature) != 64:
        return False
    if Ed25519PublicKey is not None:
        try:
            Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
        except (InvalidSignature, ValueError):
            return False
        return True
    s, k = int.from_bytes(signature[32:], "little"), hashlib.sha512(signature[:32] + key + message).digest()
    negative = (P - point[0], point[1], 1, P - point[3])
    x, y, z, _ = added(times(s, BASE), times(int.from_bytes(k, "little") % L, negative))
    x, y = x * pow(z, P - 2, P) % P, y * pow(z, P - 2, P) % P
    return s < L and (y | (x & 1) << 255).to_bytes(32, "little") == signature[:32]


def mldsa(key: bytes, message: bytes, signature: bytes) -> bool | None:
    """Tell whether an ML-DSA-44 key signed a message; None where this machine cannot tell."""
    if MLDSA44PublicKey is None:
        return None
    try:
        MLDSA44PublicKey.from_public_bytes(key).verify(signature, message)
    except UnsupportedAlgorithm:
        return None
    except (InvalidSignature, ValueError):
        return False
    return True


# Text of strangers: JSON and base64 with one form each.


def _integer(text: str) -> int:
    value = int(text) if len(text) < 18 else 1 << 60
    if not -(2**53) < value < 2**53:
        raise Wrong("a number beyond 2^53")
    return value


def _refused(text: str) -> Any:
    raise Wrong(f"a number that is no integer: {text[:20]}")


def _unique(items: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(items)
    if len(members) != len(items):
        raise Wrong("a member twice")
    return members


_HOOKS: dict[str, Any] = {"parse_int": _integer, "parse_float": _refused, "parse_constant": _refused}
DECODE = json.JSONDecoder(**_HOOKS).decode  # what is compared with its canonical form
DECODE_UNIQUE = json.JSONDecoder(object_pairs_hook=_unique, **_HOOKS).decode
ENCODE = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode


def parsed(content: bytes) -> dict[str, Any]:
    """Read a JSON object; raises Wrong."""
    try:
        value = DECODE_UNIQUE(content.decode())
    except (ValueError, RecursionError) as error:
        raise Wrong(f"JSON: {str(error)[:80]}") from None
    if not isinstance(value, dict):
        raise Wrong("JSON: no object")
    return value


def part(value: dict[str, Any], name: str) -> dict[str, Any]:
    """Return an object's member that is an object, or an empty one."""
    inner = value.get(name)
    return inner if isinstance(inner, dict) else {}


def is_size(value: Any) -> bool:
    """Tell whether a value is a whole number from zero, and not true or false."""
    return type(value) is int and value >= 0


def unbase64(text: Any) -> bytes:
    """Decode canonical base64; raises Wrong."""
    try:
        content = base64.b64decode(text, validate=True)
    except (TypeError, ValueError):
        raise Wrong("not standard base64") from None
    if base64.b64encode(content).decode() != text:
        raise Wrong("base64 with stray bits")
    return content


def number(text: str) -> int:
    """Read a decimal number without sign or leading zeroes; raises Wrong."""
    if not re.fullmatch("0|[1-9][0-9]{0,18}", text, re.ASCII):
        raise Wrong("not a decimal number")
    return int(text)


@lru_cache(maxsize=64)
def seconds(text: str) -> float:
    """Return the POSIX time of a UTC time's whole seconds; raises ValueError."""
    return datetime.fromisoformat(text + "+00:00").timestamp()


# Notes, checkpoints, trust (c2sp.org/signed-note, tlog-checkpoint, tlog-cosignature).


class Key(NamedTuple):
    """A named key of a type, and the sizes from `since` until below `until` for which it signs."""

    name: str
    type: int
    raw: bytes
    since: int = 0
    until: int | None = None

    @property
    def id(self) -> bytes:
        """Return the four bytes before each signature."""
        return hashlib.sha256(self.name.encode() + b"\n" + bytes([self.type]) + self.raw).digest()[:4]


class Note(NamedTuple):
    """A checkpoint: what it states, its text, its lines as (name, key id, signature)."""

    origin: str
    size: int
    root: bytes
    body: str
    lines: list[tuple[str, bytes, bytes]]


def key_of(text: Any, types: tuple[int, ...], since: Any = 0, until: Any = None) -> Key:
    """Read a vkey of one of the types; raises Wrong."""
    parts = text.split("+", 2) if isinstance(text, str) else []
    if len(parts) != 3 or not parts[0] or any(map(str.isspace, parts[0])):
        raise Wrong("not a verifier key")
    material = unbase64(parts[2])
    key = Key(parts[0], material[0] if material else 0, material[1:], since, until)
    if key.type not in types or KEY_SIZES[key.type] != len(key.raw) or key.id.hex() != parts[1]:
        raise Wrong(f"verifier key {key.name}: its id, type or length is wrong")
    if not is_size(since) or not (until is None or is_size(until)):
        raise Wrong(f"verifier key {key.name}: sizes are numbers from zero")
    return key


def note_of(text: str) -> Note:
    """Read a checkpoint's note; nothing of it is verified yet. Raises Wrong."""
    body, gap, signatures = text.rpartition("\n\n")
    head, lines = body.split("\n"), list[tuple[str, bytes, bytes]]()
    if not gap or not signatures.endswith("\n") or re.search("[\x00-\x09\x0b-\x1f]", text) or len(head) < 3 or not all(head):
        raise Wrong("not a signed checkpoint")
    for line in signatures[:-1].split("\n"):
        found = re.fullmatch("\u2014 ([^ +]+) ([^ ]+)", line)
        raw = unbase64(found[2]) if found else b""
        if not found or len(raw) < 5 or len(lines) == 100:
            raise Wrong("a line below the checkpoint is no signature, or one too many")
        lines.append((found[1], raw[:4], raw[4:]))
    root = unbase64(head[2])
    if len(root) != HASH:
        raise Wrong("a checkpoint without a root")
    return Note(head[0], number(head[1]), root, body + "\n", lines)


def signed_by(key: Key, note: Note, signature: bytes) -> tuple[bool | None, int]:
    """Return whether a line of a note is right (None: cannot tell here), and the POSIX time that it states, 0 without one."""
    if len(signature) != SIGNATURE_SIZES[key.type]:
        return False, 0
    if key.type == ED25519:
        return ed25519(key.raw, note.body.encode(), signature), 0
    (time,) = struct.unpack(">Q", signature[:8])
    if key.type == COSIGNATURE:
        return ed25519(key.raw, f"cosignature/v1\ntime {time}\n{note.body}".encode(), signature[8:]), time
    name, origin = key.name.encode(), note.origin.encode()
    if max(len(name), len(origin)) > 255:
        return False, 0
    head = b"subtree/v1\n\x00" + bytes([len(name)]) + name + signature[:8] + bytes([len(origin)]) + origin
    return mldsa(key.raw, head + struct.pack(">QQ", 0, note.size) + note.root, signature[8:]), time


class Trust:
    """Whom the reader believes; rotations found in the log are added to `log_keys`."""

    def __init__(self, content: bytes) -> None:
        """Read a trust file; raises Unusable."""
        try:
            said = parsed(content)
            if set(said) - {"log_keys", "witnesses", "quorum", "reviewers", "documents", "time_stamping"}:
                raise Wrong("unknown members")
            self.log_keys = [key_of(each["key"], (ED25519, MLDSA), each["from"], each["until"]) for each in said["log_keys"]]
            self.witnesses = [key_of(each, (COSIGNATURE, MLDSA)) for each in said.get("witnesses", [])]
            self.reviewers = {name: unbase64(key) for name, key in said.get("reviewers", {}).items()}
            self.quorum, self.unchecked = said.get("quorum", 0), 0
            if len({key.name for key in self.log_keys}) != 1:
                raise Wrong("the keys of one log are needed")
            if not is_size(self.quorum) or self.quorum > len({key.name for key in self.witnesses}):
                raise Wrong("a quorum that nobody can reach")
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise Unusable(f"trust file: {type(error).__name__}: {error}") from None
        self.origin = self.log_keys[0].name

    def rotate(self, said: dict[str, Any]) -> None:
        """Follow a rotation that lies under a checkpoint of an already trusted key; raises Wrong."""
        old, new = key_of(said.get("old"), (ED25519, MLDSA)), key_of(said.get("key"), (ED25519, MLDSA), said.get("from"))
        until: Any = said.get("until_old")
        if not is_size(until) or new.since > until:
            raise Wrong("a rotation without sizes")
        if new.name != self.origin or new.raw in [key.raw for key in self.log_keys]:
            return
        if old.raw not in [key.raw for key in self.log_keys]:
            raise Wrong("a rotation from a key that is not trusted")
        self.log_keys = [key._replace(until=until) if key.raw == old.raw else key for key in self.log_keys] + [new]

    def open(self, note: Note) -> dict[str, int]:
        """Verify a checkpoint's signatures and quorum, and return each witness's POSIX time; raises Wrong."""
        if note.origin != self.origin:
            raise Wrong(f"of another log, {note.origin[:80]!r}")
        valid = [key for key in self.log_keys if key.since <= note.size and (key.until is None or note.size < key.until)]
        signed, seen = False, dict[str, int]()
        for name, key_id, signature in note.lines:
            for key in [key for key in valid + self.witnesses if (key.name, key.id) == (name, key_id)]:
                right, time = signed_by(key, note, signature)
                if right is None:
                    self.unchecked += 1
                elif not right:
                    raise Wrong(f"the signature of {name}+{key_id.hex()} is wrong")
                elif key in self.witnesses:
                    seen[name] = max(time, seen.get(name, 0))
                signed = signed or key.type == ED25519
        if not signed:
            raise Wrong("no trusted key of the log, valid at this size, has signed it")
        if len(seen) < self.quorum:
            raise Wrong(f"{len(seen)} witnesses have cosigned it, {self.quorum} are needed")
        return seen


# Files.


class Pack:
    """A folder or a .zip file by names of files; nothing is unpacked."""

    def __init__(self, path: str, most_bytes: int = MOST_BYTES) -> None:
        """Open a pack; raises Unusable."""
        self.root, self.zip = path, None
        try:
            self.zip = zipfile.ZipFile(path) if os.path.isfile(path) else None
            self.names = set(self._zipped(self.zip, most_bytes) if self.zip else self._found(path))
        except BROKEN as error:
            self.close()
            raise Unusable(f"pack: {type(error).__name__}: {str(error)[:120]}") from None

    def close(self) -> None:
        """Close the archive."""
        if self.zip:
            self.zip.close()

    def _zipped(self, archive: zipfile.ZipFile, most_bytes: int) -> list[str]:
        infos = [info for info in archive.infolist() if not info.is_dir()]
        names = [info.filename for info in infos]
        if len(names) > MOST_NAMES or sum(info.file_size for info in infos) > most_bytes:
            raise Wrong("larger than --most-bytes allows")
        if any(info.flag_bits & 1 or info.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED} for info in infos):
            raise Wrong("encrypted, or packed in another way than deflate")
        if any("\\" in name or {"", "..", "."} & set(name.split("/")) for name in names):
            raise Wrong("a name leads outside")
        if len(set(names)) != len(names):
            raise Wrong("a name twice")
        return names

    def _found(self, path: str) -> Iterator[str]:
        for folder, folders, files in os.walk(path):
            for name in folders + files:
                full = os.path.join(folder, name)
                if os.path.islink(full) or (name in files and not os.path.isfile(full)):
                    raise Wrong("holds a link, or what is no file")
            for name in files:
                yield os.path.relpath(os.path.join(folder, name), path).replace(os.sep, "/")

    def open(self, name: str) -> IO[bytes]:
        """Open a file; raises one of BROKEN."""
        if name not in self.names:
            raise Wrong(f"{name[:80]}: missing")
        return self.zip.open(name) if self.zip else open(os.path.join(self.root, name), "rb")

    def read(self, name: str, most: int = LARGEST_FILE) -> bytes:
        """Return a file's bytes; raises one of BROKEN."""
        with self.open(name) as file:
            content = file.read(most + 1)
        if len(content) > most:
            raise Wrong(f"{name}: larger than {most} bytes")
        return content

    def lines(self, name: str, most: int) -> Iterator[bytes]:
        """Yield lines; raises one of BROKEN, also for a line that is too long or has no end."""
        with self.open(name) as file:
            while line := file.readline(most + 1):
                if not line.endswith(b"\n"):
                    raise Wrong(f"{name}: a line that is too long or not whole")
                yield line

    def entries(self) -> Iterator[tuple[int, bytes]]:
        """Yield index and exact bytes of each entry."""
        for line in self.lines("entries.jsonl", LARGEST_ENTRY + 64):
            found = START_OF_LINE.match(line)
            if not found or not line.endswith(b"}\n") or len(line) - found.end() > LARGEST_ENTRY + 2:
                raise Wrong("not a line of a pack")
            yield int(found[1]), line[found.end() : -2]

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """Yield index and cells of each row of the table."""
        table = csv.reader((line.decode() for line in self.lines("entries.csv", 1 << 20)), strict=True)
        if next(table, None) != COLUMNS:
            raise Wrong("other columns")
        for row in table:
            yield number(row[0] if row else ""), row

    def notes(self) -> Iterator[tuple[int, str]]:
        """Yield size and note of each published checkpoint."""
        for line in self.lines("checkpoints.jsonl", LARGEST_NOTE):
            said = parsed(line)
            size, note = said.get("size", -1), said.get("note")
            if not is_size(size) or not isinstance(note, str):
                raise Wrong("not a line of a pack")
            yield size, note


class Ahead:
    """A file's items in ascending order, seen one ahead: what is next, and at which place; at the end the place is infinite."""

    def __init__(self, name: str, items: Iterator[tuple[int, Any]], faults: Faults) -> None:
        self.name, self.items, self.faults, self.place = name, items, faults, -1.0
        self.item: Any = None
        self.taken = 0
        self.move()

    def move(self) -> None:
        """Go to the next item; what cannot be read is a fault, and the end."""
        before, self.place = self.place, math.inf
        try:
            for place, item in self.items:
                if place > before:
                    self.place, self.item = place, item
                    return
                self.faults.add(f"{self.name}: {place} twice, or out of order", int(before))
        except BROKEN as error:
            self.faults.add(f"{self.name}: after {int(before)}: {str(error)[:200]}", max(int(before), 0))

    def take(self, place: int) -> Any:
        """Return the item at a place and go on; None for none. What is passed over belongs to nothing, a fault."""
        while self.place < place:
            self.faults.add(f"{self.name}: {self.place} belongs to no entry", int(self.place))
            self.move()
        item = self.item if self.place == place else None
        if item is not None:
            self.taken += 1
            self.move()
        return item


# The Merkle tree (RFC 9162), its tiles (c2sp.org/tlog-tiles).


def sha256(content: bytes) -> bytes:
    """Return the SHA-256 digest."""
    return hashlib.sha256(content).digest()


def tile_path(level: Any, n: int, width: int) -> str:
    """Return a tile's path."""
    groups = [f"{n % 1000:03}"]
    while n := n // 1000:
        groups.insert(0, f"x{n % 1000:03}")
    return f"tile/{level}/{'/'.join(groups)}" + ("" if width == WIDTH else f".p/{width}")


class Tree:
    """A tree that grows by leaves and keeps its right edge alone. Tiles above the leaves are handed to `tile(level, n, hashes)`."""

    def __init__(self, tile: Callable[[int, int, list[bytes]], None]) -> None:
        self.size, self.edge, self.tile = 0, list[bytes](), tile
        self.open: dict[int, list[bytes]] = {}

    def append(self, leaf: bytes) -> None:
        """Add a leaf's hash."""
        at, level = self.size, 0
        while at & 1:
            leaf, at, level = sha256(b"\x01" + self.edge.pop() + leaf), at >> 1, level + 1
            if level & 7 == 0:
                held = self.open.setdefault(level >> 3, [])
                held.append(leaf)
                if len(held) == WIDTH:
                    self.tile(level >> 3, at // WIDTH, self.open.pop(level >> 3))
        self.edge.append(leaf)
        self.size += 1

    def root(self) -> bytes:
        """Return the root of the tree as it is."""
        root = self.edge[-1] if self.edge else sha256(b"")
        for left in reversed(self.edge[:-1]):
            root = sha256(b"\x01" + left + root)
        return root


def inclusion_root(index: int, size: int, leaf: bytes, path: list[bytes]) -> bytes:
    """Return the root to which an inclusion proof leads (RFC 9162 section 2.1.3.2); raises Wrong."""
    f, s, root = index, size - 1, leaf
    for beside in path:
        if s == 0:
            raise Wrong("a proof that is too long")
        if f & 1 or f == s:
            root = sha256(b"\x01" + beside + root)
            while f and not f & 1:
                f, s = f >> 1, s >> 1
        else:
            root = sha256(b"\x01" + root + beside)
        f, s = f >> 1, s >> 1
    if s:
        raise Wrong("a proof that is too short")
    return root


# Time stamps (RFC 3161): DER values lie in each other, and each begins with a tag and its length.


def values(content: bytes) -> list[bytes]:
    """Return the contents of the DER values in a row; raises IndexError."""
    found, at = [], 0
    while at < len(content):
        length, start = content[at + 1], at + 2
        if length & 128:
            start += length & 127
            length = int.from_bytes(content[at + 2 : start], "big")
        at = start + length
        found.append(content[start:at] if at <= len(content) else [content][at])
    return found


def stamped(reply: bytes) -> tuple[bytes, float]:
    """Return the SHA-256 imprint and the POSIX time of a reply; its signature is not checked. Raises Wrong."""
    try:
        status, token = values(values(reply)[0])
        signed = values(values(values(token)[1])[0])
        info = values(values(values(values(signed[2])[1])[0])[0])
        algorithm, imprint = values(info[2])
        time = datetime.strptime(info[4][:14].decode() + "+0000", "%Y%m%d%H%M%S%z").timestamp()
        if int.from_bytes(values(status)[0], "big") > 1 or values(algorithm)[0] != bytes.fromhex("608648016503040201"):
            raise Wrong("a refusal, or not over SHA-256")
    except (IndexError, ValueError) as error:
        raise Wrong(f"not an RFC 3161 reply: {str(error)[:80]}") from None
    return imprint, time


# What entries say.


def cell(value: Any) -> str:
    """Return a cell of entries.csv."""
    text = "" if value is None else str(value)
    return "'" + text if text.startswith(FORMULA_STARTS) else text


class Entries:
    """The rules of entries: form, row of the table, times, ids, positions in streams, one outcome a task, a person's word."""

    def __init__(self, trust: Trust, faults: Faults, tolerance: float) -> None:
        self.trust, self.faults, self.tolerance = trust, faults, tolerance
        self.count, self.latest, self.cosigned = 0, 0.0, 0.0
        self.ids, self.released = set[int](), set[int]()  # hashes, 64 bits under a key of this run: a chance hit needs 10^9 entries
        self.runs: dict[str, tuple[list[int], list[int]]] = {}  # of positions in a stream: first ones, last ones
        self.rotations: list[tuple[int, dict[str, Any]]] = []

    def check(self, index: int, content: bytes, row: list[str] | None) -> None:
        """Check one entry."""
        self.count += 1
        try:
            text = content.decode()
            said = DECODE(text)
            if type(said) is not dict or ENCODE(said) != text:
                raise Wrong("not canonical JSON")
            event = part(said, "event")
            data = part(event, "data")
            self.told(row, index, said, event, data)
            self.time(said.get("recorded_at"))
            self.place(index, said, event, data)
        except (ValueError, RecursionError) as error:
            self.faults.add(f"entry: {str(error)[:200]}", index)

    def told(self, row: list[str] | None, index: int, said: dict[str, Any], event: dict[str, Any], data: dict[str, Any]) -> None:
        """Compare an entry with its row; raises Wrong."""
        actor = data.get("signer") or data.get("actor") or event.get("source")
        why = data.get("reason") or data.get("because") or said.get("reason")
        told = [index, said.get("recorded_at"), said.get("kind"), event.get("type"), event.get("id")]
        told += [data.get("task_id") or said.get("task_id"), data.get("tenant"), actor, data.get("safety_class"), event.get("time"), why]
        if row and row != [cell(value) for value in told]:
            raise Wrong("entries.csv says something else than the entry")

    def time(self, text: Any) -> None:
        """Check when an entry was recorded; raises Wrong."""
        if not isinstance(text, str) or not text.endswith("Z"):
            raise Wrong("recorded_at: no time")
        recorded = seconds(text[:19])
        if recorded + self.tolerance < self.latest:
            raise Wrong("recorded_at runs backwards: a clock is shifted")
        if recorded + self.tolerance < self.cosigned:
            raise Wrong("recorded too long before a witness cosigned what stands before it: a clock is shifted")
        self.latest = max(recorded, self.latest)

    def place(self, index: int, said: dict[str, Any], event: dict[str, Any], data: dict[str, Any]) -> None:
        """Check what must be there once; keep rotations until a checkpoint covers them. Raises Wrong."""
        kind, position = said.get("kind"), said.get("stream_seq")
        if kind == "act" and event.get("type") == "ledger.rotated.v1":
            self.rotations.append((index, data))
        if kind in ("event", "release", "act") and not self.new(self.ids, event.get("id")):
            raise Wrong("the event's id was there before")
        if type(position) is int and not self.take(f"{said.get('stream')}@{said.get('stream_created')}", position):
            raise Wrong("the stream's position was there before")
        if kind == "release":
            self.release(index, said, event, data)

    def new(self, known: set[int], value: Any) -> bool:
        """Keep a value; tell whether it is new."""
        before = len(known)
        known.add(hash(str(value)))
        return len(known) > before

    def take(self, stream: str, position: int) -> bool:
        """Keep a position of a stream; tell whether it is new. Positions in a row are kept as one run."""
        first, last = self.runs.setdefault(stream, ([], []))
        at = bisect_right(first, position)
        if at and position <= last[at - 1]:
            return False
        if at and last[at - 1] == position - 1:
            last[at - 1] = position
            if at < len(first) and first[at] == position + 1:
                last[at - 1] = last.pop(at)
                first.pop(at)
        elif at < len(first) and first[at] == position + 1:
            first[at] = position
        else:
            first.insert(at, position)
            last.insert(at, position)
        return True

    def release(self, index: int, said: dict[str, Any], event: dict[str, Any], data: dict[str, Any]) -> None:
        """Check a release: its place, the one outcome of its task, and a person's word where it needs one. Raises Wrong."""
        place, outcome = part(data, "ledger"), part(data, "outcome")
        if (event.get("type"), place.get("log"), place.get("index")) != ("result.released.v1", self.trust.origin, index):
            raise Wrong("a release names another log or position than its own")
        if not self.new(self.released, data.get("task_id")):
            raise Wrong("a second outcome of one task")
        if outcome.get("status") != "answered" or (data.get("safety_class") != "C" and not outcome.get("confirmed_by")):
            return
        review = part(said, "review")
        key = self.trust.reviewers.get(str(review.get("signer")))
        if key is None:
            raise Wrong("needs a person's word, and no trusted reviewer has given it")
        fields = {name: value for name, value in review.items() if name != "signature"}
        statement = ENCODE({"statement": "tierproof review v1", **fields}).encode()
        if not ed25519(key, statement, unbase64(review.get("signature"))):
            raise Wrong("the reviewer's signature is wrong")
        about = (review.get("verdict"), review.get("task_id"), review.get("answer"))
        if about != ("confirm", data.get("task_id"), part(outcome, "answer").get("commitment")):
            raise Wrong("the review confirms something else than this answer")

    def gaps(self) -> dict[str, list[list[int]]]:
        """Return the first gaps of each stream."""
        runs = {stream: list(zip(last, first[1:]))[:10] for stream, (first, last) in self.runs.items()}
        return {stream: [[end + 1, start - 1] for end, start in pairs] for stream, pairs in runs.items() if pairs}


# The walk.


class Verification:
    """One walk along a pack: tiles, entries and checkpoints side by side, in the order of the log."""

    def __init__(self, pack: Pack, trust: Trust, known: dict[int, str], tolerance: float, within: float | None) -> None:
        """Read the manifest; raises Unusable."""
        self.pack, self.trust, self.known, self.tolerance, self.faults = pack, trust, known, tolerance, Faults()
        self.within = within  # seconds that the reader allows witnesses
        try:
            self.manifest = said = parsed(pack.read("manifest.json"))
        except BROKEN as error:
            raise Unusable(f"pack: manifest.json: {error}") from None
        objects = isinstance(said.get("selection"), dict) and isinstance(said.get("files"), dict)
        numbers = [said.get("size"), said.get("entries"), said.get("proofs", 0)]
        if said.get("pack") != 1 or not objects or not all(map(is_size, numbers)) or said["size"] > LARGEST_LOG:
            raise Unusable("pack: manifest.json is not of version 1")
        self.size, self.full = said["size"], not said["selection"]
        self.tree, self.good_size, self.checkpoints, self.proofs, self.stamps = Tree(self.compare_tile), 0, 0, 0, 0
        self.witness_times: dict[str, int] = {}
        self.bodies: dict[int, tuple[bytes, float]] = {}  # of stamped checkpoints: digest of the text, time of the newest entry
        self.entries = Entries(trust, self.faults, tolerance)

    def run(self) -> dict[str, Any]:
        """Verify everything and return the report."""
        self.digests()
        self.walk()
        with self.faults.noting("checkpoint", self.good_size, self.size):
            self.newest()
        for name in sorted(name for name in self.pack.names if name.startswith(("timestamps/", "proofs/"))):
            with self.faults.noting(name[:80]):
                (self.check_stamp if name.startswith("timestamps/") else self.check_proof)(name)
        if not self.full and self.proofs < min(self.entries.count, self.manifest.get("proofs", self.entries.count)):
            self.faults.add("proofs/: an entry of the selection has none")
        return self.report()

    def digests(self) -> None:
        """Compare the digests of files, and that no file is unlisted."""
        listed = self.manifest["files"]
        for name in self.pack.names - set(listed):
            if name != "manifest.json" and not name.startswith(("tile/", "proofs/")):
                self.faults.add(f"{name[:80]}: not in the manifest")
        for name, digest in listed.items():
            with self.faults.noting(name[:80]), self.pack.open(name) as file:
                found = hashlib.sha256()
                for block in iter(lambda: file.read(1 << 18), b""):
                    found.update(block)
                if digest != f"sha256:{found.hexdigest()}":
                    raise Wrong("other bytes than the manifest says")

    def walk(self) -> None:
        """Walk along the log: every leaf, every entry with its row, every checkpoint."""
        entries = Ahead("entries.jsonl", self.pack.entries(), self.faults)
        rows = Ahead("entries.csv", self.pack.rows(), self.faults)
        notes = Ahead("checkpoints.jsonl", self.pack.notes(), self.faults)
        stored, bundle = b"", list[bytes]()
        for index in range(self.size):
            if index % WIDTH == 0:
                stored = self.leaf_tile(index // WIDTH)
            leaf, content = stored[index % WIDTH * HASH :][:HASH], entries.take(index)
            if content is not None:
                leaf = self.entry(index, content, leaf, rows)
                bundle.append(content)
            elif self.full:
                self.faults.add("entries.jsonl: the entry is missing", index)
            if not leaf:
                self.faults.add("neither entry nor leaf: the walk ends here", index)
                return
            self.tree.append(leaf)
            while notes.place <= index + 1:
                with self.faults.noting(f"checkpoints.jsonl: {notes.place}", self.good_size, index + 1):
                    self.checkpoint(note_of(notes.item), int(notes.place))
                notes.move()
            if index + 1 in self.known and self.known[index + 1] != self.tree.root().hex():
                self.faults.add(f"the root at {index + 1} is not the known one: the log was rewritten", self.good_size, index + 1)
            if self.full and (index % WIDTH == WIDTH - 1 or index + 1 == self.size):
                self.compare_bundle(index // WIDTH, bundle)
                bundle = []
        self.edge(entries, rows, notes)

    def entry(self, index: int, content: bytes, leaf: bytes, rows: Ahead) -> bytes:
        """Check an entry, and return the hash of its leaf: the tile's where there is one, so that one fault stays one."""
        found, row = sha256(b"\x00" + content), rows.take(index)
        if leaf and found != leaf:
            self.faults.add("the entry is not the leaf of the tree", index)
        if row is None and rows.place < math.inf:  # an end that comes too soon is told once
            self.faults.add("entries.csv: the row is missing", index)
        self.entries.check(index, content, row)
        return leaf or found

    def edge(self, *aheads: Ahead) -> None:
        """Check what is left at the end: partial tiles, and that no file ends too soon or goes on beyond the log."""
        for level, hashes in self.tree.open.items():
            self.compare_tile(level, (self.size >> 8 * level) // WIDTH, hashes)
        tiles = sum(-(-(self.size >> 8 * level) // WIDTH) for level in range(6)) + (-(-self.size // WIDTH) if self.full else 0)
        if sum(name.startswith("tile/") for name in self.pack.names) != tiles:
            self.faults.add("tile/: more or fewer tiles than the tree has")
        for ahead in aheads:
            if ahead.place < math.inf:
                self.faults.add(f"{ahead.name}: goes on beyond the log or the selection", min(int(ahead.place), self.size))
            if ahead.name == "entries.csv" and ahead.taken < self.entries.count:
                self.faults.add("entries.csv: fewer rows than entries")
        if max(self.known, default=0) > self.size:
            self.faults.add(f"the pack ends at {self.size}, and size {max(self.known)} is known: cut short", self.size)

    def leaf_tile(self, n: int) -> bytes:
        """Return the hashes of a tile of leaves; none where it cannot be used."""
        width, content = min(WIDTH, self.size - n * WIDTH), b""
        with self.faults.noting("tile", n * WIDTH):
            content = self.pack.read(tile_path(0, n, width), WIDTH * HASH)
            if len(content) != width * HASH:
                raise Wrong(f"{tile_path(0, n, width)}: of the wrong length")
            return content
        return b""

    def compare_tile(self, level: int, n: int, hashes: list[bytes]) -> None:
        """Compare one tile above the leaves with what was computed."""
        name, content = tile_path(level, n, len(hashes)), b""
        with self.faults.noting(name):
            content = self.pack.read(name, WIDTH * HASH)
        if content != b"".join(hashes):
            bad = next((at for at, each in enumerate(hashes) if content[at * HASH :][:HASH] != each), 0)
            first = (n * WIDTH + bad) << 8 * level
            self.faults.add(f"{name}: not the hashes of the leaves below it", first, first + (1 << 8 * level))

    def compare_bundle(self, n: int, entries: list[bytes]) -> None:
        """Compare a bundle of entries with what entries.jsonl has."""
        width = min(WIDTH, self.size - n * WIDTH)
        with self.faults.noting("bundle", n * WIDTH, n * WIDTH + width):
            content = self.pack.read(tile_path("entries", n, width), WIDTH * (LARGEST_ENTRY + 2))
            if content != b"".join(struct.pack(">H", len(each)) + each for each in entries):
                raise Wrong("holds other entries than entries.jsonl")

    def checkpoint(self, note: Note, size: int) -> None:
        """Compare a checkpoint with the tree, verify its signatures and times, then follow rotations under it; raises Wrong."""
        self.checkpoints += 1
        if note.size != size or note.root != self.tree.root():
            raise Wrong("another root than the entries, or another size")
        latest, tolerance = self.entries.latest, self.tolerance
        self.bodies.update({size: (sha256(note.body.encode()), latest)} if f"timestamps/{size}.tsr" in self.pack.names else {})
        seen = self.trust.open(note)
        self.good_size = size
        for name, time in seen.items():
            if latest > time + tolerance:
                self.faults.add(f"{name} cosigned size {size} before an entry in it was recorded: a clock is shifted", size - 1)
            if time + tolerance < self.witness_times.get(name, 0):
                self.faults.add(f"{name} cosigned size {size} before a smaller one: a clock is shifted", size - 1)
            self.witness_times[name] = max(time, self.witness_times.get(name, 0))
        if self.within is not None:
            self.entries.cosigned = max(self.entries.cosigned, min(seen.values(), default=0) - self.within)
        while self.entries.rotations:
            index, said = self.entries.rotations.pop(0)
            with self.faults.noting("rotation", index):
                self.trust.rotate(said)

    def newest(self) -> None:
        """Verify the newest checkpoint, and what the manifest says of it; raises Wrong."""
        note, said = note_of(self.pack.read("checkpoint", LARGEST_NOTE).decode()), self.manifest
        if (note.size, note.origin, note.root.hex()) != (self.size, said.get("log"), said.get("root")):
            raise Wrong("not the one that the manifest names")
        if note.root != self.tree.root():
            raise Wrong("another root than the entries")
        if any(self.entries.latest > time + self.tolerance for time in self.trust.open(note).values()):
            self.faults.add("checkpoint: cosigned before an entry in it was recorded: a clock is shifted", self.size - 1)
        if self.good_size != self.size:
            raise Wrong("is not in checkpoints.jsonl, or not right there")
        if said["entries"] != self.entries.count:
            raise Wrong("manifest.json names another number of entries")

    def check_stamp(self, name: str) -> None:
        """Compare a time stamp with the checkpoint that it names; raises Wrong."""
        imprint, time = stamped(self.pack.read(name, LARGEST_NOTE))
        size = number(name[len("timestamps/") : -len(".tsr")])
        body, latest = self.bodies.get(size, (b"", 0.0))
        if imprint != body:
            raise Wrong("not over the text of that checkpoint")
        if latest > time + self.tolerance:
            self.faults.add(f"{name}: older than an entry under it: a clock is shifted", size - 1)
        self.stamps += 1

    def check_proof(self, name: str) -> None:
        """Verify a proof (c2sp.org/tlog-proof) by itself, for the leaf in the tree; raises Wrong."""
        head, gap, checkpoint = self.pack.read(name, LARGEST_NOTE).decode().partition("\n\n")
        lines = [line for line in head.split("\n") if not line.startswith("extra ")]
        if not gap or len(lines) < 2 or lines[0] != "c2sp.org/tlog-proof@v1" or not lines[1].startswith("index "):
            raise Wrong("not a c2sp.org/tlog-proof")
        index, note = number(lines[1][6:]), note_of(checkpoint)
        if name != f"proofs/{index}.tlog-proof" or not index < min(self.size, note.size):
            raise Wrong("of another index than its name, or beyond the log")
        self.proofs += 1
        with self.faults.noting(name, index):
            self.trust.open(note)
            n, at = divmod(index, WIDTH)
            leaf = self.pack.read(tile_path(0, n, min(WIDTH, self.size - n * WIDTH)), WIDTH * HASH)[at * HASH :][:HASH]
            if inclusion_root(index, note.size, leaf, [unbase64(line) for line in lines[2:]]) != note.root:
                raise Wrong("does not lead to the root")

    def report(self) -> dict[str, Any]:
        """Return what was found."""
        unchecked = ["signatures of time stamps: their digests were compared; check with openssl ts"] if self.stamps else []
        if self.within is None:
            unchecked.append("dates of entries against cosignatures below them: no --cosigned-within")
        if self.trust.unchecked:
            unchecked.append(f"{self.trust.unchecked} ML-DSA-44 signatures: needs `cryptography`")
        return {
            "verified": not self.faults.count,
            "log": str(self.manifest.get("log")),
            "size": self.size,
            "root": self.tree.root().hex(),
            "full": self.full,
            "entries": self.entries.count,
            "checkpoints": self.checkpoints,
            "proofs": self.proofs,
            "time_stamps": self.stamps,
            "gaps": self.entries.gaps() if self.full else {},
            "not_checked": unchecked,
            "first_bad_index": self.faults.first(),
            "fault_count": self.faults.count,
            "faults": self.faults.told,
        }


# The command.


def verify(
    path: str,
    trust: bytes,
    known: dict[int, str] | None = None,
    tolerance: float = TOLERANCE,
    most_bytes: int = MOST_BYTES,
    within: float | None = None,
) -> dict[str, Any]:
    """Verify a pack and return the report; `within`: --cosigned-within. Raises Unusable."""
    with closing(Pack(path, most_bytes)) as pack:
        return Verification(pack, Trust(trust), known or {}, tolerance, within).run()


def shown(report: dict[str, Any]) -> str:
    """Return the report for people."""
    lines = [
        f"{'VERIFIED' if report['verified'] else 'NOT VERIFIED'}: {report['log'][:200]}, {report['size']} entries, root {report['root']}",
        f"{'the whole log' if report['full'] else 'a selection'}: {report['entries']} entries, "
        f"{report['checkpoints']} checkpoints, {report['proofs']} proofs, {report['time_stamps']} time stamps",
    ]
    if report["first_bad_index"] is not None:
        lines.append(f"first bad index: {report['first_bad_index']}")
    lines += [f"  {'-' if each['index'] is None else each['index']}: {each['fault']}" for each in report["faults"][:20]]
    lines += [f"gaps in {stream[:100]}: {gaps}" for stream, gaps in report["gaps"].items()]
    lines += [f"not checked: {each}" for each in report["not_checked"]]
    return "".join(c if c.isprintable() or c == "\n" else "?" for c in "\n".join(lines))


def known_of(text: str) -> tuple[int, str]:
    """Read SIZE:ROOT."""
    found = re.fullmatch(r"([1-9][0-9]{0,14}):([0-9a-fA-F]{64})", text)
    if not found:
        raise argparse.ArgumentTypeError("SIZE:ROOT in hexadecimal")
    return int(found[1]), found[2].lower()


def main(arguments: list[str] | None = None) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="tierproof-verify", description="Verify an export pack.")
    parser.add_argument("pack", help="a folder or a .zip file")
    parser.add_argument("--trust", required=True, help="whom you believe; not from whoever gave you the pack")
    parser.add_argument("--known", type=known_of, action="append", default=[], metavar="SIZE:ROOT")
    parser.add_argument("--tolerance", type=float, default=TOLERANCE, help="seconds between clocks (default 60)")
    parser.add_argument("--cosigned-within", type=float, metavar="SECONDS", help="the slowest that you allow witnesses")
    parser.add_argument("--most-bytes", type=int, default=MOST_BYTES, help="largest unpacked size of a .zip")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args(arguments)
    try:
        with open(asked.trust, "rb") as file:
            trust = file.read(LARGEST_FILE)
        report = verify(asked.pack, trust, dict(asked.known), asked.tolerance, asked.most_bytes, asked.cosigned_within)
    except (Unusable, OSError) as error:
        text = str(error).encode("ascii", "replace").decode()
        print(json.dumps({"verified": False, "unusable": text}) if asked.json else f"UNUSABLE: {text}")
        return 2
    print(json.dumps(report) if asked.json else shown(report).encode("ascii", "replace").decode())
    return 0 if report["verified"] else 1


if __name__ == "__main__":
    sys.exit(main())
