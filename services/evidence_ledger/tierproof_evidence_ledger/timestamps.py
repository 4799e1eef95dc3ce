"""Time-stamps from outside: what a checkpoint said, and that it said so no later than a time-stamp authority attests. RFC 3161.

The stamp is over SHA-256 of the note's text. What comes back is verified before anybody keeps it, and can be again without us:
`openssl ts -verify -in <size>.tsr -data <text> -CAfile <certificates>`.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import aiohttp
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.x509 import (
    Certificate,
    DuplicateExtension,
    InvalidVersion,
    ObjectIdentifier,
    UnsupportedGeneralNameType,
    load_pem_x509_certificates,
)
from rfc3161_client import (
    HashAlgorithm,
    PKIStatus,
    TimeStampRequest,
    TimestampRequestBuilder,
    TimeStampResponse,
    VerificationError,
    VerifierBuilder,
    decode_timestamp_response,
)

from tierproof_evidence_ledger.errors import LedgerError, NotConfigured

QUERY = "application/timestamp-query"
REPLY = "application/timestamp-reply"
OK = 200
SHA256 = ObjectIdentifier("2.16.840.1.101.3.4.2.1")
CHUNK = 16_384
# What reading a damaged reply, and the certificates in it, raises.
UNREADABLE = (ValueError, DuplicateExtension, InvalidVersion, UnsupportedGeneralNameType, UnsupportedAlgorithm)


class StampUnavailable(LedgerError):
    """The authority does not answer, or not as one. Later may be better; the ledger goes on without."""


class StampRefused(LedgerError):
    """The authority answered that it gives no token."""


class StampUnproven(LedgerError):
    """A token that does not prove what it was asked for: other bytes, another nonce, another signer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Authority:
    """A time-stamp authority: where it is, whose word counts as its own, how long (seconds) and how much (bytes) it may say."""

    url: str
    certificates: tuple[Certificate, ...]
    seconds: float
    largest_reply: int


def certificates_of(pem: bytes) -> tuple[Certificate, ...]:
    """Read certificates, one PEM block after another: the authority's own, or roots that its chain ends at. Raises NotConfigured."""
    try:
        return tuple(load_pem_x509_certificates(pem))
    except ValueError:
        raise NotConfigured("time-stamping certificates: not PEM, or none in it") from None


def certificates_in(path: Path) -> tuple[Certificate, ...]:
    """Read the certificates of a file; raises NotConfigured."""
    try:
        return certificates_of(path.read_bytes())
    except OSError as error:
        raise NotConfigured(f"time-stamping certificates: {path}: {error.strerror}") from None


async def stamp(authority: Authority, note_text: bytes) -> bytes:
    """Have bytes stamped; returns the DER TimeStampResp, verified.

    Raises StampUnavailable, StampRefused and StampUnproven; each names the authority.
    """
    query = TimestampRequestBuilder().data(note_text).hash_algorithm(HashAlgorithm.SHA256).build()
    try:
        async with asyncio.timeout(authority.seconds):
            reply = await _asked(authority, query.as_bytes())
    except TimeoutError:
        raise StampUnavailable(f"{authority.url}: no answer within {authority.seconds:g} s") from None
    except aiohttp.ClientError as error:
        raise StampUnavailable(f"{authority.url}: {type(error).__name__}: {error}") from None
    try:
        _verified(reply, note_text, authority.certificates, query)
    except (StampRefused, StampUnproven) as error:
        raise type(error)(f"{authority.url}: {error}") from None
    return reply


def verify_stamp(reply: bytes, message: bytes, certificates: Iterable[Certificate]) -> datetime:
    """Return when a message existed at the latest, in whole seconds, by a DER TimeStampResp of a known authority.

    A certificate counts at the token's time, not now: it may have run out since. Raises StampRefused and StampUnproven.
    """
    return _verified(reply, message, tuple(certificates), None)


async def _asked(authority: Authority, query: bytes) -> bytes:
    async with (
        aiohttp.ClientSession() as http,
        http.post(authority.url, data=query, headers={"Content-Type": QUERY}, allow_redirects=False) as answer,
    ):
        if answer.status != OK:
            raise StampUnavailable(
                f"{authority.url}: HTTP status {answer.status}; is this a time-stamp authority's address?"
            )
        if answer.content_type != REPLY:
            raise StampUnavailable(f"{authority.url}: answers {answer.content_type}, not {REPLY}")
        reply = b""
        while chunk := await answer.content.read(CHUNK):
            reply += chunk
            if len(reply) > authority.largest_reply:
                raise StampUnavailable(f"{authority.url}: the answer is larger than {authority.largest_reply} bytes")
        return reply


def _verified(
    reply: bytes, message: bytes, certificates: tuple[Certificate, ...], query: TimeStampRequest | None
) -> datetime:
    try:
        response = decode_timestamp_response(reply)
        if response.status not in {PKIStatus.GRANTED, PKIStatus.GRANTED_WITH_MODS}:
            raise StampRefused(f"no token: {'; '.join(response.status_string) or PKIStatus(response.status).name}")
        return _proven(response, message, certificates, query)
    except UNREADABLE as error:
        raise StampUnproven(f"not a time-stamp reply: {error}") from None
    except VerificationError as error:
        raise StampUnproven(f"the token proves nothing here: {error}") from None


def _proven(
    response: TimeStampResponse,
    message: bytes,
    certificates: tuple[Certificate, ...],
    query: TimeStampRequest | None,
) -> datetime:
    if not certificates:
        raise StampUnproven("no certificate of a time-stamp authority is known")
    if response.tst_info.message_imprint.hash_algorithm != SHA256:
        raise StampUnproven("the token is not over SHA-256")
    builder = VerifierBuilder(
        roots=list(certificates),
        tsa_certificate=_silent_signer(response, certificates),
        nonce=None if query is None else query.nonce,
    )
    builder.build().verify(response, sha256(message).digest())
    return response.tst_info.gen_time.astimezone(UTC)


def _silent_signer(response: TimeStampResponse, certificates: tuple[Certificate, ...]) -> Certificate | None:
    """Return the known certificate that a token without its own was signed with; None where the token carries one."""
    if response.signed_data.certificates:
        return None
    named = {(signer.issuer, signer.serial_number) for signer in response.signed_data.signer_infos}
    return next((each for each in certificates if (each.issuer, each.serial_number) in named), None)
