"""Packs of made-up logs, written from the format's description and without the exporter."""

import base64
import csv
import hashlib
import json
import struct
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

ORIGIN = "ledger.example/verify"
START = 1_793_500_000  # 2026-11-01
COLUMNS = ["index", "recorded_at", "kind", "event_type", "event_id", "task_id", "tenant", "actor"]
COLUMNS += ["safety_class", "occurred_at", "reason"]


def private(name: str) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(hashlib.sha256(name.encode()).digest())


def b64(content: bytes) -> str:
    return base64.b64encode(content).decode()


def key_id(name: str, kind: int, key: Ed25519PrivateKey) -> bytes:
    material = bytes([kind]) + key.public_key().public_bytes_raw()
    return hashlib.sha256(name.encode() + b"\n" + material).digest()[:4]


def vkey(name: str, kind: int, key: Ed25519PrivateKey) -> str:
    return f"{name}+{key_id(name, kind, key).hex()}+{b64(bytes([kind]) + key.public_key().public_bytes_raw())}"


def canonical(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def moment(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.125Z")


def root_of(hashes: list[bytes]) -> bytes:
    if len(hashes) < 2:
        return hashes[0] if hashes else hashlib.sha256(b"").digest()
    half = 1 << (len(hashes) - 1).bit_length() - 1
    return hashlib.sha256(b"\x01" + root_of(hashes[:half]) + root_of(hashes[half:])).digest()


def path_of(index: int, hashes: list[bytes]) -> list[bytes]:
    if len(hashes) < 2:
        return []
    half = 1 << (len(hashes) - 1).bit_length() - 1
    if index < half:
        return [*path_of(index, hashes[:half]), root_of(hashes[half:])]
    return [*path_of(index - half, hashes[half:]), root_of(hashes[:half])]


def tile_path(level: int | str, n: int, width: int) -> str:
    groups = [f"{n % 1000:03}"]
    while n := n // 1000:
        groups.insert(0, f"x{n % 1000:03}")
    return f"tile/{level}/{'/'.join(groups)}" + ("" if width == 256 else f".p/{width}")


def entry(index: int, **members: Any) -> dict[str, Any]:
    task = f"acme_{index:032x}"
    data = {"actor": "ada", "reason": "=what it did" if index % 7 == 0 else "asked", "task_id": task, "tenant": "acme"}
    event = {
        "data": data,
        "id": f"00000000-0000-4000-8000-{index:012x}",
        "source": "tests",
        "time": moment(START + index),
        "type": "task.submitted.v1",
    }
    return {
        "entry": 1,
        "event": event,
        "kind": "event",
        "received_at": moment(START + index),
        "recorded_at": moment(START + index),
        "stream": "TASK",
        "stream_created": "2026-11-01T00:00:00Z",
        "stream_seq": index + 1,
        "subject": f"tierproof.task.submitted.v1.acme.{task}",
    } | members


def release(index: int, task: int, *, reviewer: str = "jo.weber") -> dict[str, Any]:
    """Return a class C release with a reviewer's signature."""
    task_id, answer = f"acme_{task:032x}", f"hmac-sha256:{task:064x}"
    review = {"answer": answer, "signer": reviewer, "task_id": task_id, "verdict": "confirm", "reason": "they agree"}
    statement = canonical({"statement": "tierproof review v1", **review})
    review["signature"] = b64(private(reviewer).sign(statement))
    outcome = {"answer": {"commitment": answer, "size": 17}, "confirmed_by": f"review-{task}", "status": "answered"}
    made = entry(index)
    made["event"] |= {
        "type": "result.released.v1",
        "data": {
            "because": "every check passed",
            "ledger": {"index": index, "log": ORIGIN, "size": index},
            "outcome": outcome,
            "safety_class": "C",
            "task_id": task_id,
            "tenant": "acme",
        },
    }
    made |= {"kind": "release", "review": review}
    for name in ("stream", "stream_created", "stream_seq", "subject", "received_at"):
        del made[name]
    return made


@dataclass
class Log:
    """A log's entries and keys; `write` makes a pack of them."""

    entries: list[bytes]
    sizes: tuple[int, ...]
    selected: tuple[int, ...] | None = None
    rotation: tuple[int, int] | None = None
    log_key: str = "log"
    witness: str = "witness"
    shift: int = 0
    stamps: dict[int, bytes] = field(default_factory=dict)

    @property
    def hashes(self) -> list[bytes]:
        return [hashlib.sha256(b"\x00" + each).digest() for each in self.entries]

    def body(self, size: int) -> str:
        return f"{ORIGIN}\n{size}\n{b64(root_of(self.hashes[:size]))}\n"

    def keys_at(self, size: int) -> list[str]:
        if self.rotation is None or size < self.rotation[0]:
            return [self.log_key]
        return [self.log_key, "log-2"] if size < self.rotation[1] else ["log-2"]

    def note(self, size: int) -> str:
        body = self.body(size)
        lines = [
            f"\u2014 {ORIGIN} {b64(key_id(ORIGIN, 1, private(name)) + private(name).sign(body.encode()))}\n"
            for name in self.keys_at(size)
        ]
        time, key = START + size + 1 + self.shift, private(self.witness)
        signature = key.sign(f"cosignature/v1\ntime {time}\n{body}".encode())
        lines.append(f"\u2014 w.example {b64(key_id('w.example', 4, key) + struct.pack('>Q', time) + signature)}\n")
        return body + "\n" + "".join(lines)

    def trust(self, **members: Any) -> bytes:
        keys = [{"key": vkey(ORIGIN, 1, private("log")), "from": 0, "until": None}]
        reviewers = {"jo.weber": b64(private("jo.weber").public_key().public_bytes_raw())}
        witness = vkey("w.example", 4, private("witness"))
        return canonical({"log_keys": keys, "witnesses": [witness], "quorum": 1, "reviewers": reviewers} | members)

    def write(self, folder: Path) -> Path:
        size, hashes = len(self.entries), self.hashes
        places = range(size) if self.selected is None else self.selected
        with (folder / "entries.csv").open("w", newline="", encoding="utf-8") as table:
            rows = csv.writer(table)
            rows.writerow(COLUMNS)
            rows.writerows(row(at, json.loads(self.entries[at])) for at in places)
        lines = [b'{"index":%d,"entry":%b}\n' % (at, self.entries[at]) for at in places]
        (folder / "entries.jsonl").write_bytes(b"".join(lines))
        notes = [json.dumps({"size": at, "note": self.note(at)}) + "\n" for at in self.sizes]
        (folder / "checkpoints.jsonl").write_text("".join(notes))
        (folder / "checkpoint").write_text(self.note(size))
        level, held = 0, hashes
        while held:
            for n in range(-(-len(held) // 256)):
                part = held[n * 256 : n * 256 + 256]
                put(folder / tile_path(level, n, len(part)), b"".join(part))
            held = [root_of(held[n * 256 : n * 256 + 256]) for n in range(len(held) // 256)]
            level += 1
        if self.selected is None:
            for n in range(-(-size // 256)):
                part = self.entries[n * 256 : n * 256 + 256]
                bundle = b"".join(struct.pack(">H", len(each)) + each for each in part)
                put(folder / tile_path("entries", n, len(part)), bundle)
        for at in self.selected or ():
            path = "".join(f"{b64(each)}\n" for each in path_of(at, hashes))
            proof = f"c2sp.org/tlog-proof@v1\nindex {at}\n{path}\n{self.note(size)}"
            put(folder / "proofs" / f"{at}.tlog-proof", proof.encode())
        for at, reply in self.stamps.items():
            put(folder / "timestamps" / f"{at}.tsr", reply)
        seal(folder, self)
        return folder


def row(at: int, said: dict[str, Any]) -> list[str]:
    event = said["event"] if isinstance(said["event"], dict) else {}
    data = event["data"] if isinstance(event.get("data"), dict) else {}
    actor = data.get("actor") or event.get("source")
    told = [at, said["recorded_at"], said["kind"], event.get("type"), event.get("id")]
    told += [data.get("task_id"), data.get("tenant"), actor, data.get("safety_class"), event.get("time")]
    told += [data.get("reason") or data.get("because")]
    texts = ["" if each is None else str(each) for each in told]
    return ["'" + each if each.startswith("=") else each for each in texts]


def put(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def seal(folder: Path, log: Log) -> None:
    """Write the manifest over the files as they are now."""
    files = {
        name: f"sha256:{hashlib.sha256((folder / name).read_bytes()).hexdigest()}"
        for name in sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
        if name != "manifest.json" and not name.startswith(("tile/", "proofs/"))
    }
    size = len(log.entries)
    said = {
        "pack": 1,
        "log": ORIGIN,
        "size": size,
        "root": root_of(log.hashes).hex(),
        "selection": {} if log.selected is None else {"tenant": "acme"},
        "entries": size if log.selected is None else len(log.selected),
        "made_at": moment(START + size),
        "made_by": "ada",
        "files": files,
    }
    (folder / "manifest.json").write_text(json.dumps(said, indent=2))


def log_of(count: int = 600) -> Log:
    """Return a log with releases at every fiftieth entry."""
    made = [release(at, at - 1) if at % 50 == 49 else entry(at) for at in range(count)]
    return Log(entries=[canonical(each) for each in made], sizes=(*range(100, count, 100), count))
