"""Texts of entries that come from the mirror: read again from the streams, sealed again, or named as lost."""

import os
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tierproof_evidence_ledger.batch import Batch
from tierproof_evidence_ledger.canonical import CarriedText, Delivered, Said
from tierproof_evidence_ledger.rebuild import Foretold
from tierproof_evidence_ledger.sealed import NONCE_SIZE, SealedText, Vault, WrappedKey, commitments_in
from tierproof_evidence_ledger.store import Store
from tierproof_evidence_ledger.stream_positions import StreamPositions

NOISE_SIZE = 32  # bytes in the place of a text whose key was erased: nobody could tell it from one
CARRIERS = ("event", "conflict")
Told = tuple[int, Mapping[str, Any]]


@dataclass(slots=True, kw_only=True)
class Texts:
    """Gives batches their texts back. `doubtful` are commitments whose message is gone, with the first entry that names each."""

    store: Store
    vault: Vault
    streams: StreamPositions
    foretold: Foretold
    again: int = 0
    doubtful: dict[str, int] = field(default_factory=dict)
    _keys: dict[str, WrappedKey] = field(default_factory=dict)

    async def put_into(self, batch: Batch, told: Sequence[Told]) -> None:
        """Add to a batch the texts that its entries commit to, as far as they can be had."""
        speaking = [
            (seq, entry) for seq, entry in told if entry["kind"] in CARRIERS and any(commitments_in(entry["event"]))
        ]
        carrying = [(seq, entry) for seq, entry in speaking if not self._is_erased(batch, entry)]
        messages = await self._messages([entry for _, entry in carrying])
        by_tenant: dict[str, dict[str, tuple[str, CarriedText]]] = {}
        for seq, entry in carrying:
            message = messages.get(_place(entry))
            reading = message.read() if message else None
            event = entry["event"]
            if isinstance(reading, Said) and reading.envelope == event:
                texts = by_tenant.setdefault(str(event["data"].get("tenant", "")), {})
                about = str(event["data"].get("task_id", ""))
                texts.update((text.commitment, (about, text)) for text in reading.texts)
            else:
                for commitment in commitments_in(event):
                    self.doubtful.setdefault(commitment, seq)
        await self._seal(batch, by_tenant)

    async def lost(self) -> list[str]:
        """Return the commitments of texts that are nowhere, in the order of the entries that name them."""
        query = "SELECT commitment FROM ledger.sealed_text WHERE commitment = ANY (%s)"
        stored = {row[0] for row in await self.store.all(query, [list(self.doubtful)])}
        return sorted(self.doubtful.keys() - stored, key=lambda commitment: (self.doubtful[commitment], commitment))

    def _is_erased(self, batch: Batch, entry: Mapping[str, Any]) -> bool:
        """Tell whether an entry's texts were erased since, and then put noise in their place: nobody has their key."""
        data = entry["event"]["data"]
        key = self.foretold.erased_since(str(data.get("tenant", "")), entry["recorded_at"])
        if key is None:
            return False
        for commitment in commitments_in(entry["event"]):
            batch.texts.append(_noise(commitment, data, key))
        return True

    async def _messages(self, entries: Sequence[Mapping[str, Any]]) -> dict[tuple[str, str, int], Delivered]:
        wanted: dict[str, list[int]] = {}
        for stream, created, place in map(_place, entries):
            if (await self.streams.state(stream)).created == created:
                wanted.setdefault(stream, []).append(place)
        found = [await self.streams.messages(stream, places) for stream, places in wanted.items()]
        return {(*message.stream_identity, message.sequence): message for some in found for message in some}

    async def _seal(self, batch: Batch, by_tenant: Mapping[str, Mapping[str, tuple[str, CarriedText]]]) -> None:
        unknown = sorted(by_tenant.keys() - self._keys.keys())
        self._keys |= await self.store.text_keys(unknown)
        for tenant, texts in sorted(by_tenant.items()):
            if tenant not in self._keys:
                self._keys[tenant] = self.vault.new_key(tenant)
                batch.text_keys.append(self._keys[tenant])
            batch.texts += self.vault.seal(texts.values(), self._keys[tenant])
            self.again += len(texts)


def _place(entry: Mapping[str, Any]) -> tuple[str, str, int]:
    return entry["stream"], entry["stream_created"], entry["stream_seq"]


def _noise(commitment: str, data: Mapping[str, Any], key: uuid.UUID) -> SealedText:
    return SealedText(
        commitment=commitment,
        tenant=str(data.get("tenant", "")),
        task_id=str(data.get("task_id", "")),
        key_id=key,
        nonce=os.urandom(NONCE_SIZE),
        ciphertext=os.urandom(NOISE_SIZE),
    )
