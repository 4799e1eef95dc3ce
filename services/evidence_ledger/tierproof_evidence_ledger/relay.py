"""The relay: publishes what the outbox names, opens the text of an answer on the way, and notes that it was stored."""

import asyncio
from typing import Any

import orjson
import structlog
from tierproof_bus.bus import Bus, utc_now
from tierproof_bus.errors import BusError
from tierproof_bus.publish import id_of_subject
from tierproof_contracts.catalogue import envelope_of, schema_name
from tierproof_contracts.envelope import Envelope
from tierproof_contracts.evidence import EvidenceCheckpointedV1
from tierproof_contracts.result import ResultReleasedV1
from tierproof_proofs.checkpoint import parse_checkpoint
from tierproof_proofs.note import parse_note

from tierproof_evidence_ledger.errors import TextUnreadable
from tierproof_evidence_ledger.recorder import written
from tierproof_evidence_ledger.release import SOURCE
from tierproof_evidence_ledger.sealed import Vault
from tierproof_evidence_ledger.store import Store

_log = structlog.get_logger()


class Relay:
    """Publishes the outbox in order. What was stored before, under the same id, is done; what cannot be sent stays."""

    def __init__(self, store: Store, bus: Bus, vault: Vault, *, pause: float) -> None:
        self._store = store
        self._bus = bus
        self._vault = vault
        self._pause = pause
        self._waiting: asyncio.Queue[tuple[str, int]] = asyncio.Queue()

    def put(self, rows: list[tuple[str, int]]) -> None:
        """Add committed outbox rows."""
        for row in rows:
            self._waiting.put_nowait(row)

    async def run(self) -> None:
        """Publish what is left from before, then what comes, until cancelled."""
        self.put(await self._store.unpublished())
        while True:
            row = await self._waiting.get()
            while not await self._sent(*row):  # noqa: ASYNC110 - the broker and the database give no event to wait for
                await asyncio.sleep(self._pause)

    async def _sent(self, kind: str, ref: int) -> bool:
        """Publish one row; False when it must be tried again."""
        try:
            envelope = await (self._release(ref) if kind == "release" else self._checkpoint(ref))
            published = await self._bus.publish_envelope(envelope)
        except TextUnreadable as error:
            _log.error("outbox.unreadable", kind=kind, ref=ref, reason=error.diagnosis())
            return True  # stays in the outbox as unpublished, and does not hold up the others
        except BusError as error:
            _log.warning("outbox.waits", kind=kind, ref=ref, reason=error.diagnosis())
            return False
        if published.stored == "conflict":
            _log.error("outbox.conflict", kind=kind, ref=ref, subject=envelope.data.subject())
            return True
        await self._store.published(kind, ref, published.sequence)
        return True

    async def _release(self, seq: int) -> Envelope[Any]:
        event = orjson.loads(await self._store.entry(seq))["event"]
        return envelope_of(ResultReleasedV1).model_validate(await self._opened(event))

    async def _checkpoint(self, size: int) -> Envelope[Any]:
        note = await self._store.checkpoint(size)
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

    async def _opened(self, value: Any) -> Any:  # noqa: ANN401 - any JSON value
        """Return a JSON value with each commitment replaced by its text; raises TextUnreadable."""
        if isinstance(value, dict):
            if value.keys() == {"commitment", "size"}:
                return await self._text(value["commitment"])
            return {key: await self._opened(inner) for key, inner in value.items()}
        return [await self._opened(inner) for inner in value] if isinstance(value, list) else value

    async def _text(self, commitment: str) -> dict[str, str]:
        found = await self._store.text(commitment)
        if found is None:
            raise TextUnreadable(f"{commitment}: the text was never stored")
        sealed, key = found
        if key is None:
            raise TextUnreadable(f"{commitment}: the key of tenant {sealed.tenant} was erased")
        return self._vault.open(sealed, key).model_dump()
