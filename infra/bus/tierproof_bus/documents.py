"""Steering documents: fetched by digest, verified, and kept. Whatever cannot be verified is refused."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, overload

from pydantic import TypeAdapter, ValidationError
from tierproof_contracts import subjects, topology
from tierproof_contracts.canonical import sha256_digest
from tierproof_contracts.documents import (
    AnyDocument,
    DocumentName,
    DsseEnvelope,
    FleetManifest,
    PolicyPublishedV1,
    Reviewers,
    RoutingPolicy,
    Steering,
    TrainingPolicy,
)
from tierproof_contracts.errors import ContractError, explain_validation
from tierproof_proofs.dsse import verify_envelope
from tierproof_proofs.errors import ProofError
from tierproof_proofs.keys import Verifier
from tierproof_proofs.trust import Trust

from tierproof_bus.errors import NotSetUp, Transient, UntrustedDocument
from tierproof_bus.messages import Raw, read
from tierproof_bus.streams import Streams

PAYLOAD_TYPE = "application/vnd.tierproof.document+json"
_ANY: TypeAdapter[Steering] = TypeAdapter(AnyDocument)


def signers_in(trust_file: Path | None) -> Mapping[str, Verifier]:
    """Return the keys that may sign documents; none when no trust file is set. Raises NotSetUp."""
    if trust_file is None:
        return {}
    try:
        return Trust.from_json(trust_file.read_bytes()).documents
    except OSError as error:
        raise NotSetUp(f"trust file {trust_file.name}: {error.strerror}; TIERPROOF_TRUST_FILE names it") from None
    except ProofError as error:
        raise NotSetUp(f"trust file {trust_file.name}: {error.diagnosis()}") from None


def opened(envelope: DsseEnvelope, name: DocumentName, digest: str, signers: Mapping[str, Verifier]) -> Steering:
    """Return the document in an envelope; raises UntrustedDocument unless signature, type, digest and name all hold."""
    try:
        verified = verify_envelope(envelope.model_dump(), signers)
    except ProofError as error:
        raise UntrustedDocument(f"{name} {digest}: {error.diagnosis()}") from None
    if verified.payload_type != PAYLOAD_TYPE:
        raise UntrustedDocument(f"{name} {digest}: signed as {verified.payload_type[:80]}, not as a document")
    if sha256_digest(verified.payload) != digest:
        raise UntrustedDocument(f"{name} {digest}: the payload has digest {sha256_digest(verified.payload)}")
    try:
        document = _ANY.validate_json(verified.payload)
    except ValidationError as error:
        raise UntrustedDocument(f"{name} {digest}: {explain_validation(error)}") from None
    if document.document != name:
        raise UntrustedDocument(f"{name} {digest}: is a {document.document}")
    return document


class Documents:
    """The documents that were verified in this process, by digest."""

    def __init__(self, streams: Streams, signers: Mapping[str, Verifier]) -> None:
        self._streams = streams
        self._signers = signers
        self._verified: dict[tuple[DocumentName, str], Steering] = {}
        self._read: dict[tuple[str, bytes], PolicyPublishedV1] = {}

    @overload
    async def document(self, name: Literal["routing-policy"], digest: str) -> RoutingPolicy: ...
    @overload
    async def document(self, name: Literal["fleet-manifest"], digest: str) -> FleetManifest: ...
    @overload
    async def document(self, name: Literal["reviewers"], digest: str) -> Reviewers: ...
    @overload
    async def document(self, name: Literal["training-policy"], digest: str) -> TrainingPolicy: ...
    async def document(self, name: DocumentName, digest: str) -> Steering:
        """Return a document by digest; see Bus.document."""
        if (name, digest) not in self._verified:
            subject = subjects.policy_published(name, digest)
            found = await self._streams.last(topology.stream_of(subject), subject)
            return self._verify(found, name, digest)
        return self._verified[name, digest]

    @overload
    async def document_in_force(self, name: Literal["routing-policy"]) -> RoutingPolicy: ...
    @overload
    async def document_in_force(self, name: Literal["fleet-manifest"]) -> FleetManifest: ...
    @overload
    async def document_in_force(self, name: Literal["reviewers"]) -> Reviewers: ...
    @overload
    async def document_in_force(self, name: Literal["training-policy"]) -> TrainingPolicy: ...
    @overload
    async def document_in_force(self, name: DocumentName) -> Steering: ...
    async def document_in_force(self, name: DocumentName) -> Steering:
        """Return the document published last under a name; see Bus.document_in_force."""
        pattern = subjects.every(PolicyPublishedV1.event_type, name)
        found = await self._streams.last(topology.stream_of(pattern), pattern)
        return self._verify(found, name, None)

    def _verify(self, found: Raw | None, name: DocumentName, digest: str | None) -> Steering:
        if found is None:
            raise Transient(f"{name} {digest or '(any)'}: not published yet; the registry publishes it")
        event = self._event(found, name)
        key = (event.name, event.digest)
        if key not in self._verified:
            self._verified[key] = opened(event.envelope, name, digest or event.digest, self._signers)
        return self._verified[key]

    def _event(self, found: Raw, name: DocumentName) -> PolicyPublishedV1:
        """Read a publication; one with the very same bytes on the same subject was read before."""
        event = self._read.get((found.subject, found.content))
        if event is None:
            try:
                event = read(found, PolicyPublishedV1).data
            except ContractError as error:
                raise UntrustedDocument(f"{name}: {error.diagnosis()}") from None
            self._read[found.subject, found.content] = event
        return event
