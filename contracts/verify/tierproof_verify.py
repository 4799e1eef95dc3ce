#!/usr/bin/env python3
"""Verify an export pack of an evidence ledger: `python tierproof_verify.py PACK --trust trust.json`.

One file, Python 3.9 or later, standard library only (`cryptography` is used where it is installed: faster, and the only way
to check ML-DSA-44). Shares no code with what wrote the pack. README.md beside it has the format. Exit 0: verified;
1: not verified, the first bad index is named; 2: the input cannot be used.
"""

from __future__ import annotations

import argparse
import base64
import binascii
import csv
import hashlib
import itertools
import json
import os
import re
import struct
import sys
import zipfile
from collections.abc import Iterator
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
MOST_BYTES, MOST_NAMES, MOST_FAULTS = 1 << 38, 1 << 22, 100
COLUMNS = "index recorded_at kind event_type event_id task_id tenant actor safety_class occurred_at reason".split()
FORMULA_STARTS = tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")
ED25519, COSIGNATURE, MLDSA = 1, 4, 6
KEY_SIZES = {ED25519: 32, COSIGNATURE: 32, MLDSA: 1312}


class Unusable(Exception):
    """The input is no pack, or no trust file."""


class Wrong(Exception):
    """Something in the pack is not as it must be."""


# Ed25519 (RFC 8032 section 5.1), strict: canonical S and points, no small-order keys; the equation without the cofactor.

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
ROOT_OF_MINUS_ONE = pow(2, (P - 1) // 4, P)
Point = tuple[int, int, int, int]
ZERO: Point = (0, 1, 1, 0)


def added(a: Point, b: Point) -> Point:
    """Return the sum of two points in extended coordinates."""
    e, f = (a[1] - a[0]) * (b[1] - b[0]), (a[1] + a[0]) * (b[1] + b[0])
    g, h = 2 * a[3] * b[3] * D, 2 * a[2] * b[2]
    w, x, y, z = f - e, h - g, h + g, f + e
    return w * x % P, y * z % P, x * y % P, w * z % P


def times(factor: int, point: Point) -> Point:
    """Return a multiple of a point."""
    result = ZERO
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


BASE = point_of((4 * pow(5, P - 2, P) % P).to_bytes(32, "little")) or ZERO


@lru_cache(maxsize=256)
def key_point(key: bytes) -> Point | None:
    """Return the point of a public key; None for one that is not canonical or of small order."""
    point = point_of(key) if len(key) == 32 else None
    if point is None:
        return None
    eightfold = times(8, point)
    return None if eightfold[0] == 0 and (eightfold[1] - eightfold[2]) % P == 0 else point


def ed25519_in_python(key: bytes, message: bytes, signature: bytes) -> bool:
    """Tell whether a key signed a message; the rules of `ed25519`."""
    point = key_point(key)
    if point is None or not well_formed(signature):
        return False
    k = int.from_bytes(hashlib.sha512(signature[:32] + key + message).digest(), "little") % L
    negative = (P - point[0], point[1], 1, P - point[3])
    x, y, z, _ = added(times(int.from_bytes(signature[32:], "little"), BASE), times(k, negative))
    inverse = pow(z, P - 2, P)
    x, y = x * inverse % P, y * inverse % P
    return (y | (x & 1) << 255).to_bytes(32, "little") == signature[:32]


def well_formed(signature: bytes) -> bool:
    """Tell whether S is below the order, and R's y below p."""
    r = int.from_bytes(signature[:32], "little") & (1 << 255) - 1
    return len(signature) == 64 and r < P and int.from_bytes(signature[32:], "little") < L


def ed25519(key: bytes, message: bytes, signature: bytes) -> bool:
    """Tell whether a key signed a message: canonical S and points alone, no keys of small order."""
    if Ed25519PublicKey is None:
        return ed25519_in_python(key, message, signature)
    if key_point(key) is None or not well_formed(signature):
        return False
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


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


def unbase64(text: Any) -> bytes:
    """Decode canonical base64."""
    try:
        content = base64.b64decode(text.encode("ascii"), validate=True)
    except (AttributeError, UnicodeEncodeError, binascii.Error):
        raise Wrong("not standard base64") from None
    if base64.b64encode(content).decode() != text:
        raise Wrong("base64 with stray bits")
    return content


def number(text: str) -> int:
    """Read a decimal number without sign or leading zeroes."""
    if not re.fullmatch("0|[1-9][0-9]{0,18}", text, re.ASCII):
        raise Wrong("not a decimal number")
    return int(text)


def key_of(text: Any, since: int = 0, until: int | None = None) -> Key:
    """Read a vkey."""
    parts = text.split("+", 2) if isinstance(text, str) else []
    if len(parts) != 3 or not parts[0] or any(map(str.isspace, parts[0])):
        raise Wrong("not a verifier key")
    material = unbase64(parts[2])
    key = Key(parts[0], material[0] if material else 0, material[1:], since, until)
    if KEY_SIZES.get(key.type) != len(key.raw) or key.id.hex() != parts[1]:
        raise Wrong(f"verifier key {key.name}: its id, type or length is wrong")
    return key


def note_of(text: str) -> Note:
    """Read a checkpoint's note; nothing of it is verified yet."""
    body, gap, signatures = text.rpartition("\n\n")
    if not gap or not signatures.endswith("\n") or any(c < " " and c != "\n" for c in text):
        raise Wrong("not a signed note")
    head = body.split("\n")
    if len(head) < 3 or not all(head):
        raise Wrong("not a checkpoint")
    lines = []
    for line in signatures[:-1].split("\n"):
        parts = line.split(" ")
        if len(parts) != 3 or parts[0] != "\u2014" or not parts[1] or "+" in parts[1]:
            raise Wrong("a line below the checkpoint is no signature")
        raw = unbase64(parts[2])
        if len(raw) < 5:
            raise Wrong("a signature is too short")
        lines.append((parts[1], raw[:4], raw[4:]))
    if len(lines) > 100 or len(unbase64(head[2])) != 32:
        raise Wrong("too many signatures, or no root")
    return Note(head[0], number(head[1]), unbase64(head[2]), body + "\n", lines)


def cosigned(key: Key, note: Note, signature: bytes) -> tuple[bool | None, int]:
    """Return whether a cosignature is right (None: cannot tell here) and its POSIX time."""
    if len(signature) != 8 + (2420 if key.type == MLDSA else 64):
        return False, 0
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
            self.log_keys = [key_of(each["key"], each["from"], each["until"]) for each in said["log_keys"]]
            self.witnesses = [key_of(each) for each in said.get("witnesses", [])]
            self.reviewers = {name: unbase64(key) for name, key in said.get("reviewers", {}).items()}
            self.quorum = said.get("quorum", 0)
            sizes = [size for key in self.log_keys for size in (key.since, key.until or 0)]
            if not all(type(each) is int and each >= 0 for each in [self.quorum, *sizes]):
                raise Wrong("sizes and the quorum are numbers from zero")
            if not self.log_keys or len({key.name for key in self.log_keys}) != 1:
                raise Wrong("one log name is needed")
            if self.quorum > len({key.name for key in self.witnesses}) or any(k.type == 1 for k in self.witnesses):
                raise Wrong("a quorum that nobody can reach, or a witness's key of the wrong type")
        except (Wrong, KeyError, TypeError, AttributeError, ValueError, RecursionError) as error:
            raise Unusable(f"trust file: {type(error).__name__}: {error}") from None
        self.origin = self.log_keys[0].name
        self.unchecked = 0

    def rotate(self, said: dict[str, Any]) -> None:
        """Follow a rotation that an already trusted key has signed for."""
        old, new = key_of(said.get("old")), key_of(said.get("key"), said.get("from", -1))
        until = said.get("until_old")
        if type(until) is not int or type(new.since) is not int or not 0 <= new.since <= until:
            raise Wrong("a rotation without sizes")
        if new.name != self.origin or new.raw in [key.raw for key in self.log_keys]:
            return
        if old.raw not in [key.raw for key in self.log_keys]:
            raise Wrong("a rotation from a key that is not trusted")
        self.log_keys = [key._replace(until=until) if key.raw == old.raw else key for key in self.log_keys] + [new]

    def open(self, note: Note) -> dict[str, int]:
        """Verify a checkpoint's signatures and return each witness's POSIX time; raises Wrong."""
        if note.origin != self.origin:
            raise Wrong(f"the checkpoint is of another log, {note.origin[:80]!r}")
        valid = [k for k in self.log_keys if k.since <= note.size and (k.until is None or note.size < k.until)]
        signed, seen = False, dict[str, int]()
        for name, key_id, signature in note.lines:
            for key in valid + self.witnesses:
                if (key.name, key.id) != (name, key_id):
                    continue
                if key.type == ED25519:
                    right, time = ed25519(key.raw, note.body.encode(), signature), 0
                else:
                    right, time = cosigned(key, note, signature)  # type: ignore[assignment]
                if right is None:
                    self.unchecked += 1
                elif not right:
                    raise Wrong(f"the signature of {name}+{key_id.hex()} is wrong")
                elif key in self.witnesses:
                    seen[name] = max(time, seen.get(name, 0))
                signed = signed or key.type == ED25519
        if not signed:
            raise Wrong("no trusted key of the log, valid at this size, has signed the checkpoint")
        return seen


# Reading: JSON without ambiguity, packs without surprises.


def _integer(text: str) -> int:
    value = int(text) if len(text) < 18 else 1 << 60
    if not -(2**53) < value < 2**53:
        raise ValueError("a number beyond 2^53")
    return value


def _refused(text: str) -> Any:
    raise ValueError(f"a number that is no integer: {text[:20]}")


def _unique(items: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(items)
    if len(members) != len(items):
        raise ValueError("a member twice")
    return members


_HOOKS: dict[str, Any] = {"parse_int": _integer, "parse_float": _refused, "parse_constant": _refused}
DECODE = json.JSONDecoder(**_HOOKS).decode
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


class Pack:
    """A folder or a .zip file by names of files."""

    def __init__(self, path: str, most_bytes: int = MOST_BYTES) -> None:
        """Open a pack; raises Unusable."""
        self.zip: zipfile.ZipFile | None = None
        self.root = path
        try:
            self.names = set(self._zipped(path, most_bytes)) if os.path.isfile(path) else set(self._found(path))
        except (OSError, zipfile.BadZipFile, NotImplementedError, ValueError) as error:
            raise Unusable(f"pack: {type(error).__name__}: {str(error)[:120]}") from None
        if "manifest.json" not in self.names:
            raise Unusable("pack: no manifest.json")

    def _zipped(self, path: str, most_bytes: int) -> list[str]:
        self.zip = zipfile.ZipFile(path)
        infos = [info for info in self.zip.infolist() if not info.is_dir()]
        names = [info.filename for info in infos]
        if len(names) > MOST_NAMES or sum(info.file_size for info in infos) > most_bytes:
            raise Unusable("pack: larger than --most-bytes allows")
        for info in infos:
            if info.flag_bits & 1 or info.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
                raise Unusable("pack: encrypted, or packed in another way than deflate")
            if info.filename.startswith("/") or "\\" in info.filename or {"..", "."} & set(info.filename.split("/")):
                raise Unusable("pack: a name leads outside")
        if len(set(names)) != len(names):
            raise Unusable("pack: a name twice")
        return names

    def _found(self, path: str) -> Iterator[str]:
        for folder, folders, files in os.walk(path):
            for name in folders + files:
                full = os.path.join(folder, name)
                if os.path.islink(full) or (name in files and not os.path.isfile(full)):
                    raise Unusable("pack: holds a link, or what is no file")
            for name in files:
                yield os.path.relpath(os.path.join(folder, name), path).replace(os.sep, "/")

    def open(self, name: str) -> IO[bytes]:
        """Open a file; raises Wrong when it is missing."""
        if name not in self.names:
            raise Wrong(f"{name}: missing")
        return self.zip.open(name) if self.zip else open(os.path.join(self.root, name), "rb")

    def read(self, name: str, most: int = LARGEST_FILE) -> bytes:
        """Return a file's bytes; raises Wrong."""
        with self.open(name) as file:
            content = file.read(most + 1)
        if len(content) > most:
            raise Wrong(f"{name}: larger than {most} bytes")
        return content

    def lines(self, name: str, most: int) -> Iterator[bytes]:
        """Yield lines; raises Wrong for one that is too long or has no end."""
        with self.open(name) as file:
            while line := file.readline(most + 1):
                if not line.endswith(b"\n"):
                    raise Wrong(f"{name}: a line that is too long or not whole")
                yield line


def tile_path(level: Any, n: int, width: int) -> str:
    """Return a tile's path (c2sp.org/tlog-tiles)."""
    groups = [f"{n % 1000:03}"]
    while n := n // 1000:
        groups.insert(0, f"x{n % 1000:03}")
    return f"tile/{level}/{'/'.join(groups)}" + ("" if width == 256 else f".p/{width}")


def sha256(content: bytes) -> bytes:
    """Return the SHA-256 digest."""
    return hashlib.sha256(content).digest()


def inclusion_root(index: int, size: int, leaf: bytes, path: list[bytes]) -> bytes:
    """Return the root to which an inclusion proof leads (RFC 9162 section 2.1.3.2); raises Wrong."""
    if index >= size:
        raise Wrong("a proof beyond the log's size")
    f, s, root = index, size - 1, leaf
    for part in path:
        if s == 0:
            raise Wrong("a proof that is too long")
        if f & 1 or f == s:
            root = sha256(b"\x01" + part + root)
            while f and not f & 1:
                f, s = f >> 1, s >> 1
        else:
            root = sha256(b"\x01" + root + part)
        f, s = f >> 1, s >> 1
    if s:
        raise Wrong("a proof that is too short")
    return root


class Tree:
    """A Merkle tree that grows by leaves and keeps its right edge alone."""

    def __init__(self) -> None:
        self.size = 0
        self.edge: list[bytes] = []
        self.grown: list[tuple[int, int, bytes]] = []  # (tile level, index in it, hash), for hashes of upper tiles

    def append(self, leaf: bytes) -> None:
        """Add a leaf's hash."""
        at, level = self.size, 0
        while at & 1:
            leaf, at, level = sha256(b"\x01" + self.edge.pop() + leaf), at >> 1, level + 1
            if level & 7 == 0:
                self.grown.append((level >> 3, at, leaf))
        self.edge.append(leaf)
        self.size += 1

    def root(self) -> bytes:
        """Return the root of the tree as it is."""
        if not self.edge:
            return sha256(b"")
        root = self.edge[-1]
        for left in reversed(self.edge[:-1]):
            root = sha256(b"\x01" + left + root)
        return root


def der(content: bytes, at: int = 0) -> tuple[int, bytes, int]:
    """Return the tag, the content and the end of a DER value; raises Wrong."""
    if at + 2 > len(content):
        raise Wrong("time stamp: cut short")
    tag, length, at = content[at], content[at + 1], at + 2
    if length & 128:
        count = length & 127
        length, at = int.from_bytes(content[at : at + count], "big"), at + count
    if at + length > len(content):
        raise Wrong("time stamp: cut short")
    return tag, content[at : at + length], at + length


def parts(content: bytes) -> list[tuple[int, bytes]]:
    """Return the values that a DER value holds."""
    found, at = [], 0
    while at < len(content):
        tag, value, at = der(content, at)
        found.append((tag, value))
    return found


def stamped(reply: bytes) -> tuple[bytes, float]:
    """Return the SHA-256 imprint and the POSIX time of an RFC 3161 reply; its signature is not checked. Raises Wrong."""
    try:
        status, token = (value for _, value in parts(der(reply)[1]))
        if int.from_bytes(parts(status)[0][1], "big") > 1:
            raise Wrong("time stamp: was refused")
        signed = parts(parts(parts(token)[1][1])[0][1])
        info = parts(parts(parts(parts(signed[2][1])[1][1])[0][1])[0][1])
        imprint = parts(info[2][1])
        time = datetime.strptime(info[4][1][:14].decode() + "+0000", "%Y%m%d%H%M%S%z").timestamp()
        if parts(imprint[0][1])[0][1] != bytes.fromhex("608648016503040201"):
            raise Wrong("time stamp: not over SHA-256")
        return imprint[1][1], time
    except (IndexError, ValueError):
        raise Wrong("time stamp: not an RFC 3161 reply") from None


@lru_cache(maxsize=4096)
def seconds(text: str) -> float:
    """Return the POSIX time of a UTC time's whole seconds; raises ValueError."""
    return datetime.fromisoformat(text + "+00:00").timestamp()


def part(value: Any, name: str) -> dict[str, Any]:
    """Return an object's member that is an object, or an empty one."""
    inner = value.get(name) if isinstance(value, dict) else None
    return inner if isinstance(inner, dict) else {}


def cell(value: Any) -> str:
    """Return a cell of entries.csv."""
    text = "" if value is None else str(value)
    return "'" + text if text.startswith(FORMULA_STARTS) else text


class Verification:
    """One walk along a pack: tiles, entries and checkpoints side by side, in the order of the log."""

    def __init__(
        self, pack: Pack, trust: Trust, known: dict[int, str] | None = None, tolerance: float = TOLERANCE
    ) -> None:
        self.pack, self.trust, self.known, self.tolerance = pack, trust, known or {}, tolerance
        self.faults: list[dict[str, Any]] = []
        self.fault_count = 0
        self.first_bad: int | None = None
        self.spans: list[tuple[int, int]] = []
        self.tree, self.entries, self.checkpoints, self.below_quorum, self.latest = Tree(), 0, 0, 0, 0.0
        self.good_size, self.full, self.size = 0, True, 0
        self.upper: dict[int, list[bytes]] = {}
        self.stamp_sizes: dict[int, str] = {}
        self.ids: set[int] = set()
        self.released: set[int] = set()
        self.positions: dict[str, list[list[int]]] = {}
        self.rotations: list[tuple[int, dict[str, Any]]] = []
        self.witness_times: dict[str, int] = {}
        self.bodies: dict[int, tuple[bytes, float]] = {}
        self.stamps = self.proofs = 0
        self.roots: dict[int, bytes] = {}

    def fault(self, what: str, index: int | None = None, end: int | None = None) -> None:
        """Note a fault at an index; with `end`, one that lies somewhere from the index on and before the end."""
        self.fault_count += 1
        if index is not None and end is not None:
            if len(self.spans) < MOST_FAULTS * MOST_FAULTS:
                self.spans.append((index, end))
        elif index is not None and (self.first_bad is None or index < self.first_bad):
            self.first_bad = index
        if len(self.faults) < MOST_FAULTS:
            self.faults.append({"index": index, "fault": what})

    def first(self) -> int | None:
        """Return the first bad index: of a span, an exact one in it rather than its start."""
        exact = self.first_bad
        starts = [start for start, end in self.spans if exact is None or not start <= exact < end]
        return min(starts + ([] if exact is None else [exact]), default=None)

    def attempt(self, what: str, step: Any, index: int | None = None, end: int | None = None) -> Any:
        """Return what a step returns, or None after noting what it found wrong."""
        try:
            return step()
        except Wrong as error:
            self.fault(f"{what}: {error}", index, end)
        except (zipfile.BadZipFile, OSError, EOFError, UnicodeError, csv.Error, RecursionError, ValueError) as error:
            self.fault(f"{what}: {type(error).__name__}", index, end)
        except Exception as error:  # noqa: BLE001 - zlib.error and what else damaged archives raise: a fault, not a traceback
            self.fault(f"{what}: cannot be read ({type(error).__name__})", index, end)
        return None

    def run(self) -> dict[str, Any]:
        """Verify everything and return the report."""
        manifest = self.attempt("manifest.json", lambda: parsed(self.pack.read("manifest.json"))) or {}
        if manifest.get("pack") != 1 or type(manifest.get("size")) is not int or manifest["size"] < 0:
            raise Unusable("pack: not of version 1")
        self.full, self.size = not manifest.get("selection"), manifest["size"]
        if self.size > 1 << 40:
            raise Unusable("pack: claims a size that no pack has")
        self.attempt("manifest.json", lambda: self.digests(manifest))
        stamps = [name for name in self.pack.names if name.startswith("timestamps/") and name.endswith(".tsr")]
        self.stamp_sizes = {int(m[1]): n for n in stamps for m in [re.fullmatch(r"timestamps/(\d{1,15})\.tsr", n)] if m}
        self.attempt("the log", lambda: self.walk(manifest))
        for size, name in sorted(self.stamp_sizes.items()):
            self.attempt(name, lambda name=name, size=size: self.check_stamp(name, size))
        proofs = [name for name in self.pack.names if name.startswith("proofs/")]
        for name in sorted(proofs):
            self.attempt(name, lambda name=name: self.check_proof(name))
        if not self.full and self.proofs < min(self.entries, manifest.get("proofs", self.entries)):
            self.fault("proofs: an entry of the selection has none")
        return self.report(manifest)

    def digests(self, manifest: dict[str, Any]) -> None:
        """Compare the digests of files, and that no file is unlisted."""
        listed = part(manifest, "files")
        for name in self.pack.names - set(listed):
            if name != "manifest.json" and not name.startswith(("tile/", "proofs/")):
                self.fault(f"{name[:80]}: not in the manifest")
        for name, digest in listed.items():
            self.attempt(name[:80], lambda name=name, digest=digest: self.digest(name, digest))

    def digest(self, name: str, digest: Any) -> None:
        """Compare one file's digest."""
        found = hashlib.sha256()
        with self.pack.open(name) as file:
            for block in iter(lambda: file.read(1 << 18), b""):
                found.update(block)
        if digest != f"sha256:{found.hexdigest()}":
            raise Wrong("other bytes than the manifest says")

    def walk(self, manifest: dict[str, Any]) -> None:
        """Walk along the log: every leaf, every entry, every checkpoint."""
        entries = self.read_entries()
        rows = self.rows()
        notes = self.read_notes()
        entry, note = next(entries, None), next(notes, None)
        if next(rows, None) != COLUMNS:
            self.fault("entries.csv: other columns")
        known = sorted(self.known)
        if known and known[-1] > self.size:
            self.fault(f"the pack ends at {self.size}, and size {known[-1]} is known: cut short", self.size)
        sizes = set(known)
        for n in range((self.size + 255) // 256):
            width = min(256, self.size - n * 256)
            leaves = self.leaf_tile(n, width)
            if leaves is None:
                return
            bundle = []
            for index in range(n * 256, n * 256 + width):
                leaf = leaves[index % 256]
                if entry is not None and entry[0] == index:
                    self.entry(index, entry[1], leaf, rows)
                    bundle.append(struct.pack(">H", len(entry[1])) + entry[1])
                    entry = next(entries, None)
                elif self.full:
                    self.fault("entries.jsonl: the entry is missing", index)
                self.tree.append(leaf)
                while note is not None and note.size == index + 1:
                    self.checkpoint(note)
                    note = next(notes, None)
                if index + 1 in sizes and self.tree.root().hex() != self.known[index + 1]:
                    self.fault(f"the root at {index + 1} is not the known one: the log was rewritten", self.good_size)
            if self.full:
                self.attempt(
                    "bundle", lambda n=n, w=width, b=bundle: self.bundle(n, w, b"".join(b)), n * 256, n * 256 + width
                )
            self.upper_tiles()
        if entry is not None:
            self.fault("entries.jsonl: an entry out of order, or beyond the log", entry[0])
        if note is not None:
            self.fault("checkpoints.jsonl: beyond the log, or out of order", min(note.size, self.size))
        if next(rows, None) is not None:
            self.fault("entries.csv: more rows than entries")
        self.edge_tiles()
        self.attempt("newest", lambda: self.newest(manifest), self.good_size, self.size)

    def leaf_tile(self, n: int, width: int) -> list[bytes] | None:
        """Return the leaf hashes of a tile."""
        content = self.attempt("tile", lambda: self.pack.read(tile_path(0, n, width), 8192), n * 256)
        if content is None or len(content) != 32 * width:
            self.fault(f"{tile_path(0, n, width)}: missing or of the wrong length", n * 256)
            return None
        return [content[at : at + 32] for at in range(0, len(content), 32)]

    def bundle(self, n: int, width: int, expected: bytes) -> None:
        """Compare a bundle of entries."""
        if self.pack.read(tile_path("entries", n, width), LARGEST_FILE * 2) != expected:
            raise Wrong("the bundle holds other entries than entries.jsonl")

    def upper_tiles(self) -> None:
        """Compare the tiles above the leaves that are full by now; called after every leaf tile."""
        grown, self.tree.grown = self.tree.grown, []
        for level, at, value in grown:
            held = self.upper.setdefault(level, [])
            held.append(value)
            if len(held) == 256:
                self.upper[level] = []
                self.compare_tile(level, at // 256, held)

    def edge_tiles(self) -> None:
        """Compare the partial tiles at the right edge, and that no tile is left over."""
        for level, held in self.upper.items():
            if held:
                self.compare_tile(level, (self.size >> 8 * level) // 256, held)
        expected = sum(-(-(self.size >> 8 * level) // 256) for level in range(6))
        bundles = -(-self.size // 256) if self.full else 0
        if sum(name.startswith("tile/") for name in self.pack.names) != expected + bundles:
            self.fault("tile/: more or fewer tiles than the tree has")

    def compare_tile(self, level: int, n: int, held: list[bytes]) -> None:
        """Compare one tile above the leaves with what was computed."""
        first, name = n * 256 << 8 * level, tile_path(level, n, len(held))
        content = self.attempt(name, lambda: self.pack.read(name, 8192), first)
        if content is not None and content != b"".join(held):
            pairs = itertools.zip_longest(held, (content[at : at + 32] for at in range(0, len(content), 32)))
            bad = next(at for at, (ours, theirs) in enumerate(pairs) if ours != theirs)
            start = first + (bad << 8 * level)
            self.fault(f"{name}: not the hashes of the leaves below it", start, start + (1 << 8 * level))

    def read_entries(self) -> Iterator[tuple[int, bytes]]:
        """Yield index and exact bytes of entries, ascending."""
        last = -1
        try:
            for line in self.pack.lines("entries.jsonl", LARGEST_ENTRY + 64):
                found = re.match(rb'\{"index":(0|[1-9][0-9]{0,14}),"entry":', line)
                if not found or not line.endswith(b"}\n"):
                    raise Wrong(f"entries.jsonl: not a line of a pack, after index {last}")
                if int(found[1]) <= last:
                    self.fault("entries.jsonl: twice, or out of order", int(found[1]))
                    continue
                last = int(found[1])
                yield last, line[found.end() : -2]
        except Wrong as error:
            self.fault(str(error), last + 1)

    def rows(self) -> Iterator[list[str]]:
        """Yield the rows of entries.csv."""
        try:
            yield from csv.reader((line.decode() for line in self.pack.lines("entries.csv", 1 << 20)), strict=True)
        except (Wrong, UnicodeDecodeError, csv.Error) as error:
            self.fault(f"entries.csv: {error}")

    def read_notes(self) -> Iterator[Note]:
        """Yield published checkpoints, ascending."""
        last = -1
        try:
            for line in self.pack.lines("checkpoints.jsonl", LARGEST_NOTE):
                said = parsed(line)
                note = note_of(said["note"] if isinstance(said.get("note"), str) else "")
                if note.size != said.get("size") or note.size <= last:
                    raise Wrong("another size than its line says, or out of order")
                last = note.size
                if last:
                    yield note
        except Wrong as error:
            self.fault(f"checkpoints.jsonl: {error}, after size {last}", max(last, 0))

    def checkpoint(self, note: Note) -> None:
        """Compare a checkpoint with the tree, verify its signatures and times, then follow rotations under it."""
        self.checkpoints += 1
        if note.root != self.tree.root():
            self.fault(
                f"the checkpoint of size {note.size} has another root than the entries", self.good_size, note.size
            )
            return
        seen = self.attempt(f"checkpoint {note.size}", lambda: self.trust.open(note), self.good_size)
        if note.size in self.stamp_sizes:
            self.bodies[note.size] = (sha256(note.body.encode()), self.latest)
        if seen is None:
            return
        self.good_size = note.size
        self.below_quorum += len(seen) < self.trust.quorum
        for name, time in seen.items():
            if self.latest > time + self.tolerance:
                self.fault(
                    f"{name} cosigned size {note.size} before an entry in it was recorded: a clock is shifted",
                    note.size - 1,
                )
            if time + self.tolerance < self.witness_times.get(name, 0):
                self.fault(f"{name} cosigned size {note.size} before a smaller one", note.size - 1)
            self.witness_times[name] = max(time, self.witness_times.get(name, 0))
        while self.rotations:
            index, said = self.rotations.pop(0)
            self.attempt("rotation", lambda said=said: self.trust.rotate(said), index)

    def newest(self, manifest: dict[str, Any]) -> None:
        """Verify the newest checkpoint and its quorum."""
        note = note_of(self.pack.read("checkpoint", LARGEST_NOTE).decode())
        if (note.size, note.origin, note.root.hex()) != (self.size, manifest.get("log"), manifest.get("root")):
            raise Wrong("checkpoint: not the one that the manifest names")
        if note.root != self.tree.root():
            self.fault("checkpoint: another root than the entries", self.good_size, self.size)
        seen = self.trust.open(note)
        if len(seen) < self.trust.quorum:
            raise Wrong(f"checkpoint: {len(seen)} witnesses have cosigned, {self.trust.quorum} are needed")
        if any(self.latest > time + self.tolerance for time in seen.values()):
            self.fault("checkpoint: cosigned before an entry in it was recorded: a clock is shifted", self.size - 1)
        if self.good_size != self.size:
            raise Wrong("checkpoints.jsonl: the newest checkpoint is not there, or not right")
        if manifest.get("entries") != self.entries:
            raise Wrong("manifest.json: another number of entries")

    def entry(self, index: int, content: bytes, leaf: bytes, rows: Iterator[list[str]]) -> None:
        """Check one entry: hash, form, row, rules."""
        self.entries += 1
        if hashlib.sha256(b"\x00" + content).digest() != leaf:
            self.fault("the entry is not the leaf of the tree", index)
        row = next(rows, None)
        try:
            text = content.decode()
            said = DECODE(text)
            if type(said) is not dict or ENCODE(said) != text:
                raise ValueError("not canonical JSON")
        except (ValueError, RecursionError) as error:
            self.fault(f"the entry's form: {str(error)[:80]}", index)
            return
        event = part(said, "event")
        data = part(event, "data")
        told = (
            index, said.get("recorded_at"), said.get("kind"), event.get("type"), event.get("id"),
            data.get("task_id") or said.get("task_id"), data.get("tenant"),
            data.get("signer") or data.get("actor") or event.get("source"), data.get("safety_class"),
            event.get("time"), data.get("reason") or data.get("because") or said.get("reason"),
        )  # fmt: skip
        if row != [cell(value) for value in told]:
            self.fault("entries.csv: the row is not the entry", index)
        self.rules(index, said, event, data)

    def rules(self, index: int, said: dict[str, Any], event: dict[str, Any], data: dict[str, Any]) -> None:
        """Check times, ids, positions, releases; keep rotations."""
        try:
            recorded = seconds(said["recorded_at"][:19])
        except (KeyError, TypeError, ValueError):
            self.fault("recorded_at: no time", index)
            recorded = self.latest
        if recorded + self.tolerance < self.latest:
            self.fault("recorded_at runs backwards: a clock is shifted", index)
        self.latest = max(recorded, self.latest)
        kind = said.get("kind")
        if kind in ("event", "release", "act"):
            name = hash(str(event.get("id")))
            if name in self.ids:
                self.fault("the event's id was there before", index)
            self.ids.add(name)
        if type(said.get("stream_seq")) is int and not self.take(
            f"{said.get('stream')}@{said.get('stream_created')}", said["stream_seq"]
        ):
            self.fault("the stream's position was there before", index)
        if kind == "release":
            self.attempt("release", lambda: self.release(index, said, event, data), index)
        if kind == "act" and event.get("type") == "ledger.rotated.v1":
            self.rotations.append((index, data))

    def take(self, stream: str, position: int) -> bool:
        """Take a position in the ascending runs of a stream; tell whether it was free."""
        runs = self.positions.setdefault(stream, [])
        low, high = 0, len(runs)
        if runs and runs[-1][0] <= position:
            low = high
        while low < high:
            middle = (low + high) // 2
            low, high = (middle + 1, high) if runs[middle][0] <= position else (low, middle)
        before = runs[low - 1] if low else [0, -2]
        if before[0] <= position <= before[1]:
            return False
        if low and before[1] == position - 1:
            before[1] = position
            if low < len(runs) and runs[low][0] == position + 1:
                before[1] = runs.pop(low)[1]
        elif low < len(runs) and runs[low][0] == position + 1:
            runs[low][0] = position
        else:
            runs.insert(low, [position, position])
        return True

    def release(self, index: int, said: dict[str, Any], event: dict[str, Any], data: dict[str, Any]) -> None:
        """Check a release: its place, the one outcome of its task, and a person's word where it needs one."""
        place, outcome, task = part(data, "ledger"), part(data, "outcome"), hash(str(data.get("task_id")))
        if event.get("type") != "result.released.v1" or (place.get("log"), place.get("index")) != (
            self.trust.origin, index,
        ):  # fmt: skip
            raise Wrong("names another log or position than its own")
        if task in self.released:
            raise Wrong("a second outcome of one task")
        self.released.add(task)
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

    def check_stamp(self, name: str, size: int) -> None:
        """Compare a time stamp with the checkpoint that it names."""
        imprint, time = stamped(self.pack.read(name, LARGEST_NOTE))
        body, latest = self.bodies.get(size, (b"", 0.0))
        if imprint != body:
            raise Wrong("not over the text of that checkpoint")
        if latest > time + self.tolerance:
            self.fault(f"{name}: older than an entry under it: a clock is shifted", size - 1)
        self.stamps += 1

    def check_proof(self, name: str) -> None:
        """Verify a proof on its own, against the leaf of the tree."""
        head, gap, checkpoint = self.pack.read(name, LARGEST_NOTE).decode().partition("\n\n")
        lines = [line for line in head.split("\n") if not line.startswith("extra ")]
        if not gap or len(lines) < 2 or lines[0] != "c2sp.org/tlog-proof@v1" or not lines[1].startswith("index "):
            raise Wrong("not a c2sp.org/tlog-proof")
        index = number(lines[1][6:])
        if name != f"proofs/{index}.tlog-proof" or index >= self.size:
            raise Wrong("of another index than its name")
        self.proofs += 1
        note = note_of(checkpoint)
        if len(self.trust.open(note)) < self.trust.quorum:
            self.fault(f"{name}: too few witnesses", index)
        n = index // 256
        leaf = self.pack.read(tile_path(0, n, min(256, self.size - n * 256)), 8192)[index % 256 * 32 :][:32]
        if inclusion_root(index, note.size, leaf, [unbase64(line) for line in lines[2:]]) != note.root:
            self.fault(f"{name}: does not lead to the root", index)

    def report(self, manifest: dict[str, Any]) -> dict[str, Any]:
        """Return what was found."""
        gaps = {
            stream: [[a[1] + 1, b[0] - 1] for a, b in zip(runs, runs[1:])][:10]
            for stream, runs in self.positions.items()
            if len(runs) > 1 and self.full
        }
        unchecked = ["signatures of time stamps: their digests were compared; check with openssl ts"] * bool(
            self.stamps
        )
        if self.trust.unchecked:
            unchecked.append(f"{self.trust.unchecked} ML-DSA-44 signatures: needs `cryptography`")
        return {
            "verified": not self.fault_count, "log": str(manifest.get("log")), "size": self.size,
            "root": self.tree.root().hex(), "full": self.full, "entries": self.entries,
            "checkpoints": self.checkpoints, "below_quorum": self.below_quorum, "proofs": self.proofs,
            "time_stamps": self.stamps, "gaps": gaps, "not_checked": unchecked, "first_bad_index": self.first(),
            "fault_count": self.fault_count, "faults": self.faults,
        }  # fmt: skip


def verify(
    path: str, trust: bytes, known: dict[int, str] | None = None, tolerance: float = TOLERANCE,
    most_bytes: int = MOST_BYTES,
) -> dict[str, Any]:  # fmt: skip
    """Verify a pack and return the report; raises Unusable."""
    return Verification(Pack(path, most_bytes), Trust(trust), known, tolerance).run()


def shown(report: dict[str, Any]) -> str:
    """Return the report for people."""
    lines = [
        f"{'VERIFIED' if report['verified'] else 'NOT VERIFIED'}: {report['log'][:200]}, {report['size']} entries, "
        f"root {report['root']}",
        f"{'the whole log' if report['full'] else 'a selection'}: {report['entries']} entries, "
        f"{report['checkpoints']} checkpoints, {report['proofs']} proofs, {report['time_stamps']} time stamps",
    ]
    if report["first_bad_index"] is not None:
        lines.append(f"first bad index: {report['first_bad_index']}")
    lines += [f"  {'-' if each['index'] is None else each['index']}: {each['fault']}" for each in report["faults"][:20]]
    lines += [f"gaps in {stream[:100]}: {gaps}" for stream, gaps in report["gaps"].items()]
    lines += [f"not checked: {each}" for each in report["not_checked"]]
    if report["below_quorum"]:
        lines.append(f"{report['below_quorum']} earlier checkpoints have fewer cosignatures than the quorum")
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
    parser.add_argument("--most-bytes", type=int, default=MOST_BYTES, help="largest unpacked size of a .zip")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args(arguments)
    try:
        try:
            with open(asked.trust, "rb") as file:
                trust = file.read(LARGEST_FILE)
        except OSError as error:
            raise Unusable(f"trust file: {error.strerror}") from None
        report = verify(asked.pack, trust, dict(asked.known), asked.tolerance, asked.most_bytes)
    except Unusable as error:
        text = str(error).encode("ascii", "replace").decode()
        print(json.dumps({"verified": False, "unusable": text}) if asked.json else f"UNUSABLE: {text}")
        return 2
    print(json.dumps(report) if asked.json else shown(report).encode("ascii", "replace").decode())
    return 0 if report["verified"] else 1


if __name__ == "__main__":
    sys.exit(main())
