"""The ledger before its witnesses: each published checkpoint is cosigned, and a term begins only when nobody knows a larger ledger.

The question "do you know more than we do?" is asked with C2SP's add-checkpoint alone: we submit the newest checkpoint that we have as
a continuation of itself (`old` is its own size). A witness that remembers exactly that cosigns it again; one that remembers less says so
(409) and gets the consistency proof from there; one that remembers more says so, too (409), and then entries were lost. An empty ledger
asks the same question with its signed checkpoint of size 0: only a witness that has cosigned nothing of this log, or nothing but its
emptiness, cosigns that.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import structlog
from tierproof_proofs.note import VerifierKey
from tierproof_proofs.policy import NOBODY, Policy

from tierproof_evidence_ledger import metrics
from tierproof_evidence_ledger.errors import Corrupted, LedgerError, NotConfigured
from tierproof_evidence_ledger.settings import LedgerSettings
from tierproof_evidence_ledger.witness_client import (
    Contradicted,
    Cosigned,
    Freshness,
    Remembers,
    Unavailable,
    WitnessClient,
)

_log = structlog.get_logger()
# (old size, new size) -> consistency proof; may block, and is called in a thread, one call at a time.
Proof = Callable[[int, int], Sequence[bytes]]
MOST_QUESTIONS = (
    3  # sizes, then again when another sequencer was quicker; a witness whose answers never settle is not available
)


class Outgrown(Corrupted):
    """A witness knows a larger ledger than this one, or another one: entries were lost or rewritten. Nothing may be appended."""


class Unwitnessed(LedgerError):
    """Too few witnesses have cosigned; it may be tried again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """Seconds: for one answer, for those who are late when there are enough, between two rounds, and how old an answer may be."""

    answer: float
    late: float
    pause: float
    age: float


def patience_of(settings: LedgerSettings) -> Patience:
    """Return what the settings allow to witnesses."""
    return Patience(
        answer=settings.witness_answer_seconds,
        late=settings.witness_late_seconds,
        pause=settings.witness_pause_seconds,
        age=settings.witness_age_seconds,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Outgrown:
    """What a witness knows that we do not."""

    witness: str
    why: str


class Witnesses:
    """Several witnesses and the quorum among them. `missing` names those who have not cosigned the last checkpoint, and why."""

    def __init__(
        self,
        clients: Sequence[WitnessClient],
        enough: Callable[[Sequence[VerifierKey]], bool],
        proof: Proof,
        patience: Patience,
    ) -> None:
        self.missing: Mapping[str, str] = {}
        self._clients = tuple(clients)
        self._enough = enough
        self._proof = proof
        self._patience = patience
        self._sizes: dict[WitnessClient, int] = {}
        self._reading = asyncio.Lock()

    async def cosigned(self, note: str, size: int) -> str:
        """Return a signed checkpoint of `size` leaves with the witnesses' lines; raises Unwitnessed below the quorum, and Outgrown."""
        found = await self._round(note, size)
        if not self._enough([key for each in found for key in each.keys]):
            raise Unwitnessed(f"too few witnesses: {self._said_missing()}")
        return note + "".join(str(line) for each in found for line in each.lines)

    async def agreed(self, note: str, size: int) -> None:
        """Wait until a quorum has confirmed that it knows nothing beyond this signed checkpoint; raises Outgrown.

        An empty ledger gives its signed checkpoint of size 0.
        """
        while True:
            found = await self._round(note, size)
            if self._enough([key for each in found for key in each.keys]):
                _log.info("witnesses.agreed", size=size, witnesses=len(found))
                return
            _log.warning("witnesses.awaited", size=size, missing=dict(self.missing))
            await asyncio.sleep(self._patience.pause)

    async def _round(self, note: str, size: int) -> list[Cosigned]:
        """Ask all at once; those who are late do not hold up a quorum for long."""
        asked = {asyncio.create_task(self._ask(client, note, size)): client for client in self._clients}
        try:
            await self._gather(list(asked))
        finally:
            for task in asked:
                task.cancel()
            await asyncio.gather(*asked, return_exceptions=True)
        missing, found = {}, []
        for task, client in asked.items():
            match Unavailable(reason="late") if task.cancelled() else task.result():
                case Cosigned() as cosigned:
                    found.append(cosigned)
                case Unavailable(reason=reason):
                    missing[client.name] = reason
                case _Outgrown(witness=witness, why=why):
                    raise Outgrown(f"witness {witness} {why}: nothing may be appended before the lost part is restored")
        if missing != self.missing:
            _log.info("witnesses.missing", missing=missing)
        self.missing = missing
        metrics.missing_witnesses.set(len(missing))
        return found

    async def _gather(self, tasks: Sequence[asyncio.Task[Cosigned | Unavailable | _Outgrown]]) -> None:
        pending = set(tasks)
        while pending:
            keys = [key for task in tasks if task.done() for key in _keys(task.result())]
            late = self._patience.late if self._enough(keys) else None
            done, pending = await asyncio.wait(pending, timeout=late, return_when=asyncio.FIRST_COMPLETED)
            if not done:
                return

    async def _ask(self, client: WitnessClient, note: str, size: int) -> Cosigned | Unavailable | _Outgrown:
        known = min(self._sizes.get(client, size), size)
        for _ in range(MOST_QUESTIONS):
            match await client.cosign(note, known, await self._proof_from(known, size)):
                case Cosigned() as cosigned:
                    self._sizes[client] = size
                    return cosigned
                case Remembers(size=theirs) if theirs > size:
                    return _Outgrown(witness=client.name, why=f"has cosigned {theirs} entries, and here are {size}")
                case Remembers(size=theirs):
                    known = theirs
                case Contradicted(because=because):
                    return _Outgrown(
                        witness=client.name, why=f"refuses {size} entries as a continuation of {known}: {because}"
                    )
                case Unavailable() as unavailable:
                    return unavailable
        return Unavailable(reason="it changes its mind about how much it has cosigned")

    async def _proof_from(self, old: int, new: int) -> Sequence[bytes]:
        if old in {0, new}:
            return ()
        async with self._reading:
            building = asyncio.ensure_future(asyncio.to_thread(self._proof, old, new))
            try:
                return await asyncio.shield(building)
            except asyncio.CancelledError:
                await asyncio.wait([building])  # a thread cannot be cancelled, and the next one must not meet it
                raise

    def _said_missing(self) -> str:
        return (
            "; ".join(f"{name}: {why}" for name, why in self.missing.items())
            or "the policy asks for more than it names"
        )


def _keys(answer: Cosigned | Unavailable | _Outgrown) -> tuple[VerifierKey, ...]:
    return answer.keys if isinstance(answer, Cosigned) else ()


@asynccontextmanager
async def witnesses_at(policy: Path, proof: Proof, patience: Patience) -> AsyncIterator[Witnesses]:
    """Keep connections to the witnesses of a c2sp.org/tlog-policy file until the block ends; raises NotConfigured and Malformed.

    Keys that share a URL are one witness. `proof` blocks on the database; it runs in a thread, one call at a time.
    """
    read = _read(policy)
    by_url: dict[str, list[VerifierKey]] = {}
    for party in read.witnesses:
        if party.url is not None:
            by_url.setdefault(party.url, []).append(party.key)
    if read.quorum != NOBODY and not read.satisfied_by([key for keys in by_url.values() for key in keys]):
        raise NotConfigured(f"witness policy {policy}: the witnesses that have a URL are too few for its quorum")
    async with aiohttp.ClientSession() as http:
        clients = [
            WitnessClient(http, url, keys, seconds=patience.answer, fresh=Freshness(seconds=patience.age))
            for url, keys in by_url.items()
        ]
        yield Witnesses(clients, read.satisfied_by, proof, patience)


def _read(policy: Path) -> Policy:
    try:
        return Policy.parse(policy.read_bytes())
    except OSError as error:
        raise NotConfigured(f"witness policy {policy}: {error.strerror}") from None
