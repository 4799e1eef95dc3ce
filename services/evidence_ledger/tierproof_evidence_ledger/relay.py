"""The relay: publishes what the outbox names, opens the texts of answers on the way, and notes what was stored."""

import asyncio
from collections.abc import Mapping
from typing import Any, Literal

import orjson
import structlog
from tierproof_bus.bus import Bus, utc_now
from tierproof_bus.errors import BusError
from tierproof_bus.publish import id_of_subject
from tierproof_contracts.catalogue import envelope_of, schema_name
from tierproof_contracts.envelope import Envelope
from tierproof_contracts.evidence import EvidenceCheckpointedV1
from tierproof_contracts.ids import written
from tierproof_contracts.result import ResultReleasedV1
from tierproof_proofs.checkpoint import parse_checkpoint
from tierproof_proofs.note import parse_note

from tierproof_evidence_ledger import metrics
from tierproof_evidence_ledger.errors import Corrupted, TextUnreadable
from tierproof_evidence_ledger.release import SOURCE
from tierproof_evidence_ledger.sealed import SealedText, Vault, WrappedKey, commitments_in
from tierproof_evidence_ledger.store import Store

_log = structlog.get_logger()
Texts = Mapping[str, tuple[SealedText, WrappedKey | None]]
Row = tuple[str, int]  # kind, and the entry's seq or the checkpoint's size


class Relay:
    """Publishes the outbox, up to `most` rows at once. What was stored before, under the same id, is done; what cannot be sent stays."""

    def __init__(self, store: Store, bus: Bus, vault: Vault, *, pause: float, most: int) -> None:
        self._store = store
        self._bus = bus
        self._vault = vault
        self._pause = pause
        self._most = most
        self._waiting: asyncio.Queue[Row] = asyncio.Queue()

    def put(self, rows: list[Row]) -> None:
        """Add committed outbox rows."""
        for row in rows:
            self._waiting.put_nowait(row)
        metrics.outbox_waiting.set(self._waiting.qsize())

    async def run(self) -> None:
        """Publish what is left from before, then what comes, until cancelled."""
        self.put(await self._store.unpublished())
        while True:
            rows = [await self._waiting.get()]
            while len(rows) < self._most and not self._waiting.empty():
                rows.append(self._waiting.get_nowait())
            while rows := await self._sent(rows):
                metrics.outbox_waiting.set(len(rows) + self._waiting.qsize())
                await asyncio.sleep(self._pause)
            metrics.outbox_waiting.set(self._waiting.qsize())

    async def _sent(self, rows: list[Row]) -> list[Row]:
        """Publish rows at once, note in one commit what is stored, and return those that must be tried again."""
        seqs = [ref for kind, ref in rows if kind == "release"]
        entries = await self._store.entries_at(seqs) if seqs else {}
        events = {seq: orjson.loads(content)["event"] for seq, content in entries.items()}
        texts = await self._store.texts(sorted({name for event in events.values() for name in commitments_in(event)}))
        said = await asyncio.gather(*(self._said(kind, ref, events.get(ref), texts) for kind, ref in rows))
        stored = [(kind, ref, place) for (kind, ref), place in zip(rows, said, strict=True) if isinstance(place, int)]
        if stored:
            await self._store.published(stored)
        return [row for row, place in zip(rows, said, strict=True) if place == "again"]

    async def _said(
        self, kind: str, ref: int, event: dict[str, Any] | None, texts: Texts
    ) -> int | Literal["again", "stays"]:
        """Publish one row and return its place in the stream; what `stays` in the outbox does not hold up the others."""
        try:
            envelope = await self._checkpoint(ref) if kind == "checkpoint" else self._release(ref, event, texts)
            published = await self._bus.publish_envelope(envelope)
        except TextUnreadable as error:
            _log.error("outbox.unreadable", kind=kind, ref=ref, reason=error.diagnosis())
            metrics.outbox_stuck.labels(kind).inc()
            return "stays"
        except BusError as error:
            _log.warning("outbox.waits", kind=kind, ref=ref, reason=error.diagnosis())
            return "again"
        if published.stored == "conflict":
            _log.error("outbox.conflict", kind=kind, ref=ref, subject=envelope.data.subject())
            metrics.outbox_stuck.labels(kind).inc()
            return "stays"
        return published.sequence

    def _release(self, seq: int, event: dict[str, Any] | None, texts: Texts) -> Envelope[Any]:
        if event is None:
            raise Corrupted(f"entry {seq} is missing: run `verify`")
        return envelope_of(ResultReleasedV1).model_validate(self._opened(event, texts))

    async def _checkpoint(self, size: int) -> Envelope[Any]:
        note = await self._store.published_checkpoint(size)
        checkpoint = parse_checkpoint(parse_note(note.encode()).text)
        data = EvidenceCheckpointedV1(log=checkpoint.origin, size=size, note=note)
        return envelope_of(EvidenceCheckpointedV1)(
            id=id_of_subject(data.subject()),
            type=data.event_type,
            source=SOURCE,
            subject=str(size),
            time=written(utc_now()),
            dataschema=schema_name(data.event_type),
            correlationid=str(size),
            data=data,
        )

    def _opened(self, value: Any, texts: Texts) -> Any:  # noqa: ANN401 - any JSON value
        """Return a JSON value with each commitment replaced by its text; raises TextUnreadable."""
        if isinstance(value, dict):
            if value.keys() == {"commitment", "size"}:
                return self._text(value["commitment"], texts)
            return {key: self._opened(inner, texts) for key, inner in value.items()}
        return [self._opened(inner, texts) for inner in value] if isinstance(value, list) else value

    def _text(self, commitment: str, texts: Texts) -> dict[str, str]:
        if commitment not in texts:
            raise TextUnreadable(f"{commitment}: the text was never stored")
        sealed, key = texts[commitment]
        if key is None:
            raise TextUnreadable(f"{commitment}: the key of tenant {sealed.tenant} was erased")
        return self._vault.open(sealed, key).model_dump()
