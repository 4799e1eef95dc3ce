#!/usr/bin/env python3
"""Verify an export pack of an evidence ledger: `python tierproof_verify.py PACK --trust trust.json`.

One file, Python 3.9 or later, standard library only (`cryptography` is used where it is installed: faster, and the only way
to check ML-DSA-44). Shares no code with what wrote the pack. README.md beside it has the format. Exit 0: verified;
1: not verified, the first bad index is named; 2: the input cannot be used.

Read from the bottom: `main`, `Verification.run`, `walk`; then `Rules` (of entries), `Trust.open` (signatures), `Tree`.
"""

from __future__ import annotations

import argparse
import base64
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
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from itertools import islice
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
LARGEST_LOG, MOST_FAULTS = 1 << 40, 10_000
ENTRY_LINE = re.compile(rb'\{"index":(0|[1-9][0-9]{0,14}),"entry":(.*)\}\n')
NOTE_LINE = re.compile(rb'\{"size": ?(0|[1-9][0-9]{0,14}), ?"note": ?(".*")\}\n')
WIDTH, HASH = 256, 32  # of a tile in hashes, of a hash in bytes
COLUMNS = [  # of entries.csv, behind the index: each name, and the places of which the first that an entry has says it
    *("recorded_at entry.recorded_at", "kind entry.kind", "event_type event.type", "event_id event.id"),
    *("task_id data.task_id entry.task_id", "tenant data.tenant", "actor data.signer data.actor event.source"),
    *("safety_class data.safety_class", "occurred_at event.time", "reason data.reason data.because entry.reason"),
]
CELLS = [[place.split(".") for place in column.split()[1:]] for column in COLUMNS]
FORMULA = tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")  # what a spreadsheet takes for the start of one
QUOTED = re.compile('[",\r\n]').search  # what a cell with one of these is
ED25519, COSIGNATURE, MLDSA = 1, 4, 6
KEY_SIZES = {ED25519: 32, COSIGNATURE: 32, MLDSA: 1312}
SIGNATURE_SIZES = {ED25519: 64, COSIGNATURE: 8 + 64, MLDSA: 8 + 2420}


class Unusable(Exception):
    """The input is no pack, or no trust file."""


class Wrong(ValueError):
    """Something in the pack is not as it must be."""


def need(right: Any, words: str) -> None:
    """Raise Wrong with the words unless something is right."""
    if not right:
        raise Wrong(words)


# What reading bytes of strangers raises, "raises BROKEN" below: files, archives, JSON of another shape, text.
SHAPES = (ValueError, TypeError, AttributeError, LookupError, RuntimeError, OverflowError)
BROKEN = (*SHAPES, OSError, EOFError, struct.error, zlib.error, zipfile.BadZipFile)


class Faults(list[tuple[str, "int | None", "int | None"]]):
    """What was found, the first ten thousand: words, an index, and an end for what is somewhere from the index on and before it."""

    def add(self, words: str, index: int | None = None, end: int | None = None) -> None:
        """Note a fault."""
        if len(self) < MOST_FAULTS:
            self.append((words, index, end))

    @contextmanager
    def noting(self, words: str, index: int | None = None, end: int | None = None) -> Iterator[None]:
        """Note what a step finds wrong, and go on."""
        try:
            yield
        except BROKEN as error:
            self.add(f"{words}: {str(error)[:200] if isinstance(error, Wrong) else type(error).__name__}", index, end)

    def first(self) -> int | None:
        """Return the first bad index: of a span, an exact one in it rather than its start."""
        exact = min((index for _, index, end in self if index is not None and end is None), default=math.inf)
        spans = [index for _, index, end in self if index is not None and end and not index <= exact < end]
        return int(first) if (first := min([exact, *spans])) < math.inf else None


# Ed25519 (RFC 8032 section 5.1), strict: canonical S and points, no keys of small order; the equation without the cofactor.
P, L = 2**255 - 19, 2**252 + 27742317777372353535851937790883648493
D, ROOT_OF_MINUS_ONE = -121665 * pow(121666, P - 2, P) % P, pow(2, (P - 1) // 4, P)


def added(a: tuple[int, ...], b: tuple[int, ...]) -> tuple[int, ...]:
    """Return the sum of two points in extended coordinates."""
    e, f, g, h = (a[1] - a[0]) * (b[1] - b[0]), (a[1] + a[0]) * (b[1] + b[0]), 2 * a[3] * b[3] * D, 2 * a[2] * b[2]
    w, x, y, z = f - e, h - g, h + g, f + e
    return w * x % P, y * z % P, x * y % P, w * z % P


def times(factor: int, point: tuple[int, ...]) -> tuple[int, ...]:
    """Return a multiple of a point."""
    result: tuple[int, ...] = (0, 1, 1, 0)
    while factor:
        result = added(result, point) if factor & 1 else result
        point, factor = added(point, point), factor >> 1
    return result


@lru_cache(maxsize=256)
def point_of(content: bytes) -> tuple[int, ...] | None:
    """Decode a public key's point; None for bytes that are not the one encoding of a point, and for points of small order."""
    number = int.from_bytes(content, "little")
    sign, y = number >> 255, number & (1 << 255) - 1
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    x = x * ROOT_OF_MINUS_ONE % P if (x * x - square) % P else x
    x = P - x if x & 1 != sign else x
    eighth = times(8, point := (x, y, 1, x * y % P))
    wrong = len(content) != 32 or y >= P or (x * x - square) % P or (x in {0, P} and sign)
    return None if wrong or (eighth[0] == 0 and eighth[1] == eighth[2]) else point


BASE = point_of((4 * pow(5, P - 2, P) % P).to_bytes(32, "little")) or ()


def ed25519(key: bytes, message: bytes, signature: bytes) -> bool:
    """Tell whether a key signed a message."""
    point = point_of(key)
    if point is None or len(signature) != 64:
        return False
    if Ed25519PublicKey is not None:
        return bool(by_cryptography(Ed25519PublicKey, key, message, signature))
    s, k = int.from_bytes(signature[32:], "little"), hashlib.sha512(signature[:32] + key + message).digest()
    negative = (P - point[0], point[1], 1, P - point[3])
    x, y, z, _ = added(times(s, BASE), times(int.from_bytes(k, "little") % L, negative))
    x, y = x * pow(z, P - 2, P) % P, y * pow(z, P - 2, P) % P
    return s < L and (y | (x & 1) << 255).to_bytes(32, "little") == signature[:32]


def by_cryptography(kind: Any, key: bytes, message: bytes, signature: bytes) -> bool | None:
    """Tell whether a key signed a message; None where this machine cannot tell."""
    try:
        kind.from_public_bytes(key).verify(signature, message)
    except UnsupportedAlgorithm:
        return None
    except (InvalidSignature, ValueError):
        return False
    return True


# Text of strangers: JSON and base64 with one form each.
def whole(text: str) -> int:
    """Read a whole number within 2^53, and nothing else; raises BROKEN."""
    value = int(text[:18])
    need(str(value) == text and -(2**53) < value < 2**53, "a number that is not whole, or beyond 2^53")
    return value


def unique(items: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make an object of its members, none of them twice; raises Wrong."""
    members = dict(items)
    need(len(members) == len(items), "a member twice")
    return members


DECODE = json.JSONDecoder(object_pairs_hook=unique, parse_int=whole, parse_float=whole, parse_constant=whole).decode
ENCODE = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode


def part(value: dict[str, Any], name: str) -> dict[str, Any]:
    """Return an object's member that is an object, or an empty one."""
    return inner if isinstance(inner := value.get(name), dict) else {}


def is_size(value: Any) -> bool:
    """Tell whether a value is a whole number from zero, and not true or false."""
    return type(value) is int and value >= 0


def unbase64(text: str) -> bytes:
    """Decode base64 that is in its one form; raises BROKEN."""
    content = base64.b64decode(text)
    need(base64.b64encode(content).decode() == text, "not standard base64")
    return content


def sha256(content: bytes) -> bytes:
    """Return the SHA-256 digest."""
    return hashlib.sha256(content).digest()


# Notes, checkpoints, trust (c2sp.org/signed-note, tlog-checkpoint, tlog-cosignature).
class Key(NamedTuple):
    """A named key of a type, and the sizes from `since` until below `until` for which it signs."""

    name: str
    type: int
    raw: bytes
    id: bytes
    since: int
    until: int | None


class Note(NamedTuple):
    """A checkpoint: what it states, its text, its lines as (name, key id, signature)."""

    origin: str
    size: int
    root: bytes
    body: str
    lines: list[tuple[str, bytes, bytes]]


def key_of(text: str, types: tuple[int, ...], since: int = 0, until: int | None = None) -> Key:
    """Read a vkey of one of the types; raises BROKEN."""
    name, key_id, encoded = text.split("+", 2)
    material = unbase64(encoded)
    key = Key(name, material[0], material[1:], sha256(name.encode() + b"\n" + material)[:4], since, until)
    need(key.type in types and KEY_SIZES[key.type] == len(key.raw), "a verifier key of another type or length")
    need(key.id.hex() == key_id and re.fullmatch(r"\S+", name), "a verifier key whose id or name is wrong")
    need(is_size(since) and (until is None or is_size(until)), "sizes of a verifier key are numbers from zero")
    return key


def note_of(text: str) -> Note:
    """Read a checkpoint's note; nothing of it is verified yet. Raises BROKEN."""
    body, gap, signatures = text.rpartition("\n\n")
    head, lines = body.split("\n"), signatures.split("\n")
    found = [re.fullmatch("\u2014 ([^ +]+) ([^ ]+)", line) for line in lines[:-1]]
    need(gap and not lines[-1] and not re.search("[\x00-\x09\x0b-\x1f]", text) and len(head) > 2 and all(head), "not a signed checkpoint")
    need(all(found) and 0 < len(found) <= 100, "a line below the checkpoint is no signature, or one too many")
    signed = [(each[1], unbase64(each[2])) for each in found if each]
    root, size = unbase64(head[2]), whole(head[1])
    need(len(root) == HASH and size >= 0, "a checkpoint without a root")
    need(all(len(raw) > 4 for _, raw in signed), "a signature without a key")
    return Note(head[0], size, root, body + "\n", [(name, raw[:4], raw[4:]) for name, raw in signed])


def signed_by(key: Key, note: Note, signature: bytes) -> tuple[bool | None, int]:
    """Return whether a line of a note is right (None: cannot tell here), and the POSIX time that it states, 0 without one."""
    if len(signature) != SIGNATURE_SIZES[key.type]:
        return False, 0
    if key.type == ED25519:
        return ed25519(key.raw, note.body.encode(), signature), 0
    time = int.from_bytes(signature[:8], "big")
    if key.type == COSIGNATURE:
        return ed25519(key.raw, f"cosignature/v1\ntime {time}\n{note.body}".encode(), signature[8:]), time
    name, origin = key.name.encode(), note.origin.encode()
    if MLDSA44PublicKey is None or max(len(name), len(origin)) > 255:
        return None if MLDSA44PublicKey is None else False, time
    head = b"subtree/v1\n\x00" + bytes([len(name)]) + name + signature[:8] + bytes([len(origin)]) + origin
    return by_cryptography(MLDSA44PublicKey, key.raw, head + bytes(8) + note.size.to_bytes(8, "big") + note.root, signature[8:]), time


class Trust:
    """Whom the reader believes; rotations found in the log are added to `log_keys`."""

    def __init__(self, content: bytes) -> None:
        """Read a trust file; raises BROKEN."""
        said = DECODE(content.decode())
        need(type(said) is dict and said.get("log_keys"), "names no log_keys: whose log do you believe?")
        need(set(said) <= {"log_keys", "witnesses", "quorum", "reviewers", "documents", "time_stamping"}, "unknown members")
        self.log_keys = [key_of(each["key"], (ED25519, MLDSA), each["from"], each["until"]) for each in said["log_keys"]]
        self.witnesses = [key_of(each, (COSIGNATURE, MLDSA)) for each in said.get("witnesses", [])]
        self.reviewers = {name: unbase64(key) for name, key in said.get("reviewers", {}).items()}
        self.quorum, self.origin, self.unchecked = said.get("quorum", 0), self.log_keys[0].name, 0
        need(is_size(self.quorum) and self.quorum <= len({key.name for key in self.witnesses}), "a quorum that nobody can reach")
        need({key.name for key in self.log_keys} == {self.origin}, "keys of more than one log")

    def rotate(self, said: dict[str, Any]) -> None:
        """Follow a rotation that lies under a checkpoint of an already trusted key; raises BROKEN."""
        until, known = said["until_old"], [key.raw for key in self.log_keys]
        old, new = key_of(said["old"], (ED25519, MLDSA)), key_of(said["key"], (ED25519, MLDSA), said["from"])
        need(is_size(until) and new.since <= until, "a rotation without sizes")
        if new.name != self.origin or new.raw in known:
            return
        need(old.raw in known, "a rotation from a key that is not trusted")
        self.log_keys = [key._replace(until=until) if key.raw == old.raw else key for key in self.log_keys] + [new]

    def open(self, note: Note) -> dict[str, int]:
        """Verify a checkpoint's signatures and quorum, and return each witness's POSIX time; raises BROKEN."""
        need(note.origin == self.origin, f"of another log, {note.origin[:80]!r}")
        valid = [key for key in self.log_keys if key.since <= note.size and (key.until is None or note.size < key.until)]
        signed, seen = False, dict[str, int]()
        for name, key_id, signature in note.lines:
            for key in [key for key in valid + self.witnesses if (key.name, key.id) == (name, key_id)]:
                right, time = signed_by(key, note, signature)
                self.unchecked += right is None
                need(right is not False, f"the signature of {name}+{key_id.hex()} is wrong")
                if right and key in self.witnesses:
                    seen[name] = max(time, seen.get(name, 0))
                signed = signed or key.type == ED25519
        need(signed, "no trusted key of the log, valid at this size, has signed it")
        need(len(seen) >= self.quorum, f"{len(seen)} witnesses have cosigned it, {self.quorum} are needed")
        return seen


# Files.
class Pack:
    """Files by their names, of a folder or of a .zip, read where they are; every method raises BROKEN."""

    def __init__(self, path: str, archive: zipfile.ZipFile | None) -> None:
        """Find the files."""
        self.path, self.archive = path, archive
        if archive:
            packed = [each for each in archive.infolist() if not each.is_dir()]
            need(all(each.compress_type in {0, 8} for each in packed), "packed in another way than deflate")
            names = [each.filename for each in packed]
        else:
            found = [os.path.join(at, name) for at, folders, files in os.walk(path) for name in folders + files]
            need(not any(map(os.path.islink, found)), "holds a link")
            need(all(os.path.isfile(each) or os.path.isdir(each) for each in found), "holds what is no file")
            names = [os.path.relpath(each, path).replace(os.sep, "/") for each in found if os.path.isfile(each)]
        outside = [name for name in names if "\\" in name or {"", ".", ".."} & set(name.split("/"))]
        need(not outside and len(set(names)) == len(names), "a name leads outside, or is there twice")
        self.names = set(names)

    def open(self, name: str) -> IO[bytes]:
        """Return a file to read from."""
        need(name in self.names, f"{name[:80]}: missing")
        return self.archive.open(name) if self.archive else open(os.path.join(self.path, name), "rb")

    def read(self, name: str, most: int = LARGEST_FILE) -> bytes:
        """Return a file's bytes, at most so many."""
        with self.open(name) as file:
            content = file.read(most + 1)
        need(len(content) <= most, f"{name}: larger than {most} bytes")
        return content


# The Merkle tree (RFC 9162), its tiles (c2sp.org/tlog-tiles).
class Tree:
    """A tree that grows by leaves and keeps its right edge alone, and of the tiles above the leaves what stands in the open ones."""

    def __init__(self) -> None:
        self.size, self.edge, self.above = 0, list[bytes](), dict[int, list[bytes]]()

    def append(self, leaf: bytes) -> None:
        """Add a leaf's hash."""
        at, height = self.size, 0
        while at & 1:
            leaf, at, height = sha256(b"\x01" + self.edge.pop() + leaf), at >> 1, height + 1
            if height % 8 == 0:
                self.above.setdefault(height // 8, []).append(leaf)
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
    need(bool(path) is (size > 1), "a proof of another length")
    if size == 1:
        return leaf
    half = 1 << (size - 1).bit_length() - 1  # the leaves below the left child
    if index < half:
        return sha256(b"\x01" + inclusion_root(index, half, leaf, path[:-1]) + path[-1])
    return sha256(b"\x01" + path[-1] + inclusion_root(index - half, size - half, leaf, path[:-1]))


def stamped(reply: bytes, digest: bytes) -> float:
    """Return when, by a reply (RFC 3161), a digest was there: all else, form and signature, is for `openssl ts`. Raises BROKEN."""
    _, found, behind = reply.partition(b"\x04\x20" + digest)  # TSTInfo: the digest, a serial number, the time
    time = re.search(rb"\x18.([0-9]{14})[.0-9]*Z", behind, re.DOTALL)
    if not found or not time:
        raise Wrong("not over the text of that checkpoint")
    return datetime.strptime(time[1].decode() + "+0000", "%Y%m%d%H%M%S%z").timestamp()


@lru_cache(maxsize=64)
def seconds(text: str) -> float:
    """Return the POSIX time of a UTC time's whole seconds; raises ValueError."""
    return datetime.fromisoformat(text + "+00:00").timestamp()


def row_of(index: int, said: dict[str, Any]) -> list[str]:
    """Return what entries.csv must say of an entry; before what a spreadsheet takes for a formula stands an apostrophe."""
    event, cells = part(said, "event"), [str(index)]
    inside = {"entry": said, "event": event, "data": part(event, "data")}
    for places in CELLS:
        for at, name in places:
            if (value := inside[at].get(name)) is not None:
                break
        cell = value if type(value) is str else "" if value is None else ENCODE(value)
        cells.append("'" + cell if cell.startswith(FORMULA) else cell)
    return cells


@dataclass
class Rules:
    """The rules of entries: times, ids, positions in streams, one outcome a task, a person's word. All raise BROKEN."""

    trust: Trust
    tolerance: float
    latest: float = 0.0
    cosigned: float = 0.0
    seen: set[int] = field(default_factory=set)  # hashes, 64 bits under a key of this run: a chance hit needs 10^9 entries
    runs: dict[str, list[list[float]]] = field(default_factory=dict)  # of positions in a stream: first and last one
    rotations: list[tuple[int, dict[str, Any]]] = field(default_factory=list)  # which no checkpoint covers yet

    def check(self, index: int, said: dict[str, Any]) -> None:
        """Check one entry."""
        event, kind, position = part(said, "event"), said.get("kind"), said.get("stream_seq")
        data = part(event, "data")
        time = said["recorded_at"]
        recorded = seconds(time[:19]) if time.endswith("Z") else math.nan
        need(recorded + self.tolerance >= self.latest, "recorded_at: no time, or runs backwards: a clock is shifted")
        need(recorded + self.tolerance >= self.cosigned, "recorded too long before a witness cosigned what is below: a clock is shifted")
        self.latest = max(recorded, self.latest)
        if kind == "act" and event.get("type") == "ledger.rotated.v1":
            self.rotations.append((index, data))
        if kind in ("event", "release", "act"):
            self.once("the event's id was there before", event.get("id"))
        if type(position) is int:
            self.take(f"{said.get('stream')}@{said.get('stream_created')}", position)
        if kind == "release":
            self.release(index, part(said, "review"), event, data)

    def once(self, what: str, value: Any) -> None:
        """Keep a value, which must be new."""
        before = len(self.seen)
        self.seen.add(hash((what, str(value))))
        need(len(self.seen) > before, what)

    def take(self, stream: str, position: int) -> None:
        """Keep a position of a stream, which must be new. Positions in a row are kept as one run."""
        runs = self.runs.setdefault(stream, [])
        at = bisect_right(runs, [position, math.inf])
        need(not at or position > runs[at - 1][1], "the stream's position was there before")
        runs.insert(at, [position, position])
        for left in (at, at - 1):
            if 0 <= left < len(runs) - 1 and runs[left][1] + 1 == runs[left + 1][0]:
                runs[left][1] = runs.pop(left + 1)[1]

    def release(self, index: int, review: dict[str, Any], event: dict[str, Any], data: dict[str, Any]) -> None:
        """Check a release: its place, the one outcome of its task, and a person's word where it needs one."""
        place, outcome = part(data, "ledger"), part(data, "outcome")
        right = (event.get("type"), place.get("log"), place.get("index")) == ("result.released.v1", self.trust.origin, index)
        need(right, "a release names another log or position than its own")
        self.once("a second outcome of one task", data.get("task_id"))
        if outcome.get("status") != "answered" or (data.get("safety_class") != "C" and not outcome.get("confirmed_by")):
            return
        need(review.get("signer") in self.trust.reviewers, "needs a person's word, and no trusted reviewer has given it")
        statement = {"statement": "tierproof review v1", **review}
        signature, key = unbase64(statement.pop("signature")), self.trust.reviewers[review["signer"]]
        need(ed25519(key, ENCODE(statement).encode(), signature), "the reviewer's signature is wrong")
        answer = ("confirm", data.get("task_id"), part(outcome, "answer").get("commitment"))
        need((review["verdict"], review["task_id"], review["answer"]) == answer, "the review confirms something else than this answer")

    def gaps(self) -> dict[str, list[list[float]]]:
        """Return the first gaps of each stream that has some."""
        return {stream: [[a[1] + 1, b[0] - 1] for a, b in zip(runs[:10], runs[1:])] for stream, runs in self.runs.items() if len(runs) > 1}


class Verification:
    """One walk along a pack: tiles, entries and checkpoints side by side, in the order of the log."""

    def __init__(self, pack: Pack, trust: Trust, known: dict[int, str], tolerance: float, within: float | None) -> None:
        """Read the manifest; raises BROKEN."""
        self.pack, self.trust, self.known, self.tolerance, self.within = pack, trust, known, tolerance, within
        self.manifest = said = DECODE(pack.read("manifest.json").decode())
        self.size, self.full, self.files = said["size"], not said["selection"], said["files"]
        numbers = [self.size, said["entries"], said.get("proofs", 0)]
        need(said["pack"] == 1 and type(said["selection"]) is type(self.files) is dict, "manifest.json is not of version 1")
        need(all(map(is_size, numbers)) and self.size <= LARGEST_LOG, "manifest.json: a number is none, or too large")
        roots = map(re.compile("[0-9a-f]{64}").fullmatch, known.values())
        need(min(known, default=1) > 0 and all(roots), "--known is SIZE:ROOT, in hexadecimal")
        self.tree, self.rules, self.faults, self.good_size = Tree(), Rules(trust, tolerance), Faults(), 0
        self.counts = dict.fromkeys(["entries", "checkpoints", "proofs", "time_stamps"], 0)
        self.witness_times, self.bodies = dict[str, int](), dict[int, tuple[bytes, float]]()  # of stamped ones: digest, newest entry
        self.tiles = {name for name in pack.names if name.startswith("tile/")}  # that nothing was compared with yet
        self.table: IO[bytes] | None = None

    def run(self) -> dict[str, Any]:
        """Verify everything and return the report."""
        self.digests()
        self.walk()
        with self.faults.noting("checkpoint", self.good_size, self.size):
            self.newest()
        for name in sorted(name for name in self.pack.names if name.startswith(("timestamps/", "proofs/"))):
            with self.faults.noting(name[:80]):
                (self.check_stamp if name.startswith("timestamps/") else self.check_proof)(name)
        if not self.full and self.counts["proofs"] < min(self.counts["entries"], self.manifest.get("proofs", self.size)):
            self.faults.add("proofs/: an entry of the selection has none")
        return self.report()

    def digests(self) -> None:
        """Compare the digests of files, and that no file is unlisted: what is in `tile` and `proofs` proves itself."""
        unlisted = {name for name in self.pack.names if name == "manifest.json" or name.startswith(("tile/", "proofs/"))}
        for name in sorted((self.pack.names - unlisted) | set(self.files)):
            found = hashlib.sha256()
            with self.faults.noting(name[:80]):
                need(name in self.files, "not in the manifest")
                with self.pack.open(name) as file:
                    for block in iter(lambda: file.read(1 << 18), b""):
                        found.update(block)
                need(self.files[name] == f"sha256:{found.hexdigest()}", "other bytes than the manifest says")

    def ascending(self, name: str, form: re.Pattern[bytes], most: int) -> Iterator[tuple[int, bytes]]:
        """Yield a file's lines, a place and bytes; what stands out of order is a fault, and what cannot be read one and the end."""
        before = -1
        try:
            with self.pack.open(name) as file:
                while line := file.readline(most + 64):
                    found = form.fullmatch(line)
                    if not found or len(found[2]) > most:
                        raise Wrong("not a line of a pack, too long or not whole")
                    if (place := int(found[1])) > before:
                        before = place
                        yield place, found[2]
                    else:
                        self.faults.add(f"{name}: {place} twice, or out of order", before)
        except BROKEN as error:
            self.faults.add(f"{name}: after {before}: {str(error)[:200]}", max(before, 0))

    def growing(self) -> Iterator[int]:
        """Check every entry and append its leaf: the tile's where there is one, so that one fault stays one. Yields after each."""
        entries, end = self.ascending("entries.jsonl", ENTRY_LINE, LARGEST_ENTRY), (math.inf, b"")
        place, content = next(entries, end)
        self.row(0, ["index", *(column.split()[0] for column in COLUMNS)])
        for index in range(self.size):
            n, at = divmod(index, WIDTH)
            if at == 0:
                tile, bundle = b"", bytearray()
                with self.faults.noting("tile", index):
                    tile = self.tile("0", n, self.size, WIDTH * HASH)
            leaf = tile[at * HASH :][:HASH]
            if place == index:
                found = sha256(b"\x00" + content)
                bundle += len(content).to_bytes(2, "big") + content
                if leaf and found != leaf:
                    self.faults.add("the entry is not the leaf of the tree", index)
                with self.faults.noting("entry", index):
                    said = DECODE(text := content.decode())
                    need(type(said) is dict and ENCODE(said) == text, "not canonical JSON")
                    self.row(index, row_of(index, said))
                    self.rules.check(index, said)
                self.counts["entries"] += 1
                leaf, (place, content) = leaf or found, next(entries, end)
            elif self.full:
                self.faults.add("entries.jsonl: the entry is missing", index)
                self.table = None  # whose rows have no entry to compare with
            if not leaf:
                self.faults.add("neither entry nor leaf: the walk ends here", index)
                return
            self.tree.append(leaf)
            if index + 1 in self.known and self.known[index + 1] != self.tree.root().hex():
                self.faults.add(f"the root at {index + 1} is not the known one: the log was rewritten", self.good_size, index + 1)
            if at + 1 == WIDTH or index + 1 == self.size:
                self.repeats(n, bundle)
            yield index
        if place < math.inf:
            self.faults.add("entries.jsonl: goes on beyond the log", self.size)
        self.row(self.size, [])
        for name in sorted(self.tiles):
            self.faults.add(f"{name[:80]}: belongs to no tree of this size")

    def tile(self, kind: str, n: int, count: int, most: int) -> bytes:
        """Return a tile (c2sp.org/tlog-tiles) of a row of so many hashes or entries, which has at most so many bytes; raises BROKEN."""
        width, (*above, last) = min(WIDTH, count - n * WIDTH), (group.zfill(3) for group in f"{n:,}".split(","))
        name = f"tile/{kind}/" + "".join(f"x{group}/" for group in above) + last + ("" if width == WIDTH else f".p/{width}")
        self.tiles.discard(name)
        content = self.pack.read(name, most)
        need(kind == "entries" or len(content) == width * HASH, f"{name}: a tile of the wrong length")
        return content

    def repeats(self, n: int, bundle: bytearray) -> None:
        """Compare what repeats a tile's leaves with what these give: the bundle of their entries, the tiles above that are whole now."""
        size = self.tree.size
        made = [("entries", n, size, bytes(bundle), n * WIDTH)] if self.full else []
        for level, hashes in self.tree.above.items():
            if hashes and (len(hashes) == WIDTH or size == self.size):
                above = n >> 8 * level
                made.append((str(level), above, size >> 8 * level, b"".join(hashes), above * WIDTH << 8 * level))
                hashes.clear()
        for kind, number, count, content, index in made:
            with self.faults.noting("tile", index, size):
                same = self.tile(kind, number, count, len(content)) == content
                need(same, f"tile/{kind}/: number {number} is not what entries.jsonl and its leaves give")

    def row(self, index: int, cells: list[str]) -> None:
        """Compare the next row of entries.csv, none for its end, up to the first that is another."""
        quoted = ['"' + each.replace('"', '""') + '"' if QUOTED(each) else each for each in cells]
        line = (",".join(quoted) + "\r\n").encode() if cells else b""
        with self.faults.noting("entries.csv", index):
            table, self.table = self.table, None
            need(table is None or table.read(len(line) or 1) == line, "says something else than the entry, here and perhaps below")
            self.table = table

    def walk(self) -> None:
        """Let the tree grow from checkpoint to checkpoint, so that each must have the root of the same entries."""
        with ExitStack() as opened:
            with self.faults.noting("entries.csv"):
                self.table = opened.enter_context(self.pack.open("entries.csv"))
            leaves = self.growing()
            for size, line in self.ascending("checkpoints.jsonl", NOTE_LINE, LARGEST_NOTE):
                deque(islice(leaves, max(0, min(size, self.size) - self.tree.size)), maxlen=0)  # lets it grow so far
                self.counts["checkpoints"] += 1
                with self.faults.noting(f"checkpoints.jsonl: {size}", self.good_size, min(size, self.size)):
                    self.checkpoint(note_of(DECODE(line.decode())), size)
            deque(leaves, maxlen=0)
        if max(self.known, default=0) > self.size:
            self.faults.add(f"the pack ends at {self.size}, and size {max(self.known)} is known: cut short", self.size)

    def checkpoint(self, note: Note, size: int) -> None:
        """Compare a checkpoint with the tree, verify its signatures and times, then follow rotations under it; raises BROKEN."""
        need(note.size == size == self.tree.size and note.root == self.tree.root(), "another root than the entries, or another size")
        if f"timestamps/{size}.tsr" in self.pack.names:
            self.bodies[size] = sha256(note.body.encode()), self.rules.latest
        seen, self.good_size = self.trust.open(note), size
        for name, time in seen.items():
            if time + self.tolerance < max(self.rules.latest, self.witness_times.get(name, 0)):
                self.faults.add(f"{name} cosigned size {size} before a smaller one, or before an entry in it: a clock is shifted", size - 1)
            self.witness_times[name] = max(time, self.witness_times.get(name, 0))
        if self.within is not None:
            self.rules.cosigned = max(self.rules.cosigned, min(seen.values(), default=0) - self.within)
        while self.rules.rotations:
            index, said = self.rules.rotations.pop(0)
            with self.faults.noting("rotation", index):
                self.trust.rotate(said)

    def newest(self) -> None:
        """Verify the newest checkpoint, and what the manifest says of it; raises BROKEN."""
        note, said, before = note_of(self.pack.read("checkpoint", LARGEST_NOTE).decode()), self.manifest, self.good_size
        need((note.size, note.origin, note.root.hex()) == (self.size, said["log"], said["root"]), "not the one that the manifest names")
        self.checkpoint(note, self.size)
        need(before == self.size, "is not in checkpoints.jsonl, or not right there")
        need(said["entries"] == self.counts["entries"], "manifest.json names another number of entries")

    def check_stamp(self, name: str) -> None:
        """Compare a time stamp with the checkpoint that it names; raises BROKEN."""
        size = whole(name[len("timestamps/") : -len(".tsr")])
        digest, latest = self.bodies.get(size, (b"", 0.0))
        need(digest, "of no published checkpoint")
        time = stamped(self.pack.read(name, LARGEST_NOTE), digest)
        if latest > time + self.tolerance:
            self.faults.add(f"{name}: older than an entry under it: a clock is shifted", size - 1)
        self.counts["time_stamps"] += 1

    def check_proof(self, name: str) -> None:
        """Verify a proof (c2sp.org/tlog-proof) by itself, for the leaf in the tree; raises BROKEN."""
        head, _, checkpoint = self.pack.read(name, LARGEST_NOTE).decode().partition("\n\n")
        title, at, *path = [line for line in head.split("\n") if not line.startswith("extra ")]
        index, note = whole(at.replace("index ", "", 1)), note_of(checkpoint)
        need((title, at) == ("c2sp.org/tlog-proof@v1", f"index {index}"), "not a c2sp.org/tlog-proof")
        need(name == f"proofs/{index}.tlog-proof" and 0 <= index < min(self.size, note.size), "of another index, or beyond the log")
        self.counts["proofs"] += 1
        with self.faults.noting(name, index):
            self.trust.open(note)
            leaf = self.tile("0", index // WIDTH, self.size, WIDTH * HASH)[index % WIDTH * HASH :][:HASH]
            root = inclusion_root(index, note.size, leaf, [unbase64(line) for line in path])
            need(root == note.root, "does not lead to the root")

    def report(self) -> dict[str, Any]:
        """Return what was found."""
        unchecked = {
            "whether other entries would have fitted the selection": not self.full,
            "signatures of time stamps: digests and times alone were compared; check with openssl ts": self.counts["time_stamps"],
            "dates of entries against cosignatures below them: no --cosigned-within": self.within is None,
            f"{self.trust.unchecked} ML-DSA-44 signatures: needs `cryptography`": self.trust.unchecked,
        }
        said = {"log": str(self.manifest.get("log")), "size": self.size, "root": self.tree.root().hex(), "full": self.full}
        said |= {"verified": not self.faults, **self.counts, "gaps": self.rules.gaps() if self.full else {}}
        said |= {"not_checked": [words for words, so in unchecked.items() if so], "first_bad_index": self.faults.first()}
        told = [{"index": index, "fault": words} for words, index, _ in self.faults[:100]]
        return {**said, "fault_count": len(self.faults), "faults": told}


def verify(
    path: str, trust: bytes, known: dict[int, str] | None = None, tolerance: float = TOLERANCE, within: float | None = None
) -> dict[str, Any]:
    """Verify a pack and return the report; `within`: --cosigned-within. Raises Unusable."""
    what = "trust file"
    with ExitStack() as opened:
        try:
            believed, what = Trust(trust), "pack"
            archive = opened.enter_context(zipfile.ZipFile(path)) if os.path.isfile(path) else None
            verification = Verification(Pack(path, archive), believed, known or {}, tolerance, within)
        except BROKEN as error:
            words = str(error)[:120] if isinstance(error, Wrong) else f"unreadable ({type(error).__name__})"
            raise Unusable(f"{what}: {words}") from None
        return verification.run()


def shown(report: dict[str, Any]) -> str:
    """Return the report for people."""
    counts = ", ".join(f"{report[each]} {each.replace('_', ' ')}" for each in ("entries", "checkpoints", "proofs", "time_stamps"))
    lines = [f"{'VERIFIED' if report['verified'] else 'NOT VERIFIED'}: {report['log'][:200]}, size {report['size']}, root {report['root']}"]
    lines += [f"{'the whole log' if report['full'] else 'a selection'}: {counts}"]
    lines += [f"first bad index: {report['first_bad_index']}"] if report["first_bad_index"] is not None else []
    lines += [f"  {'-' if each['index'] is None else each['index']}: {each['fault']}" for each in report["faults"][:20]]
    lines += [f"gaps in {stream[:100]}: {gaps}" for stream, gaps in report["gaps"].items()]
    lines += [f"not checked: {each}" for each in report["not_checked"]]
    return "".join(c if c.isprintable() or c == "\n" else "?" for c in "\n".join(lines))


def main(arguments: list[str] | None = None) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="tierproof-verify", description="Verify an export pack.")
    parser.add_argument("pack", help="a folder or a .zip file")
    parser.add_argument("--trust", required=True, help="whom you believe; not from whoever gave you the pack")
    parser.add_argument("--known", action="append", default=[], metavar="SIZE:ROOT", help="a checkpoint that you noted before")
    parser.add_argument("--tolerance", type=float, default=TOLERANCE, help="seconds between clocks (default 60)")
    parser.add_argument("--cosigned-within", type=float, metavar="SECONDS", help="the slowest that you allow witnesses")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args(arguments)
    try:
        with open(asked.trust, "rb") as file:
            trust = file.read(LARGEST_FILE)
        need(all(re.fullmatch("[1-9][0-9]{0,14}:[0-9a-fA-F]{64}", each) for each in asked.known), "--known is SIZE:ROOT, in hexadecimal")
        known = {int(size): root.lower() for size, _, root in (each.partition(":") for each in asked.known)}
        need(len(known) == len({each.lower() for each in asked.known}), "--known: two roots of one size, at most one is of this log")
        report = verify(asked.pack, trust, known, asked.tolerance, asked.cosigned_within)
    except (Unusable, OSError, ValueError) as error:
        text = str(error).encode("ascii", "replace").decode()
        print(json.dumps({"verified": False, "unusable": text}) if asked.json else f"UNUSABLE: {text}")
        return 2
    print(json.dumps(report) if asked.json else shown(report).encode("ascii", "replace").decode())
    return 0 if report["verified"] else 1


if __name__ == "__main__":
    sys.exit(main())
