"""The logs that the witness accepts: a file with one verifier key per line, read again whenever it has changed."""

from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

import structlog
from tierproof_proofs.errors import Malformed
from tierproof_proofs.log_key import LOG_ALGORITHMS
from tierproof_proofs.note import VerifierKey, parse_vkey

from tierproof_witness.errors import LogsUnreadable

_log = structlog.get_logger()


def read_logs(content: str, where: str) -> Mapping[str, tuple[VerifierKey, ...]]:
    """Return the keys by origin. Empty lines and lines that start with # say nothing. Raises LogsUnreadable."""
    found: dict[str, list[VerifierKey]] = {}
    for number, line in enumerate(content.splitlines(), 1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        try:
            key = parse_vkey(text)
        except Malformed as error:
            raise LogsUnreadable(f"{where}, line {number}: {error.diagnosis()}") from None
        if key.algorithm not in LOG_ALGORITHMS:
            raise LogsUnreadable(f"{where}, line {number}: a log signs with Ed25519 (0x01) or ML-DSA-44 (0x06)")
        if key not in found.setdefault(key.name, []):
            found[key.name].append(key)
    return {origin: tuple(keys) for origin, keys in found.items()}


class Logs:
    """The accepted logs. A file that has become unreadable changes nothing: the last good one stays in force."""

    def __init__(self, path: Path) -> None:
        """Read the file; raises LogsUnreadable."""
        self._path = path
        self._stamp = self._stamp_now()
        self._keys = self._read()

    def keys_of(self, origin: str) -> tuple[VerifierKey, ...]:
        """Return the keys that are trusted for an origin; none for an unknown one."""
        self._refresh()
        return self._keys.get(origin, ())

    def origin_of(self, digest: str) -> str | None:
        """Return the origin with this SHA-256 in lowercase hex."""
        self._refresh()
        return next((origin for origin in self._keys if sha256(origin.encode()).hexdigest() == digest), None)

    def _refresh(self) -> None:
        try:
            now = self._stamp_now()
            if now == self._stamp:
                return
            self._stamp = now
            self._keys = self._read()
        except LogsUnreadable as error:
            _log.error("witness.logs_unreadable", reason=error.diagnosis())
            return
        _log.info("witness.logs_read", origins=len(self._keys))

    def _read(self) -> Mapping[str, tuple[VerifierKey, ...]]:
        try:
            return read_logs(self._path.read_text(encoding="utf-8"), self._path.name)
        except OSError as error:
            raise LogsUnreadable(f"{self._path}: {error.strerror}") from None
        except UnicodeDecodeError:
            raise LogsUnreadable(f"{self._path}: not UTF-8") from None

    def _stamp_now(self) -> tuple[int, int, int]:
        try:
            found = self._path.stat()
        except OSError as error:
            raise LogsUnreadable(f"{self._path}: {error.strerror}; one verifier key of a log per line") from None
        return found.st_mtime_ns, found.st_size, found.st_ino
