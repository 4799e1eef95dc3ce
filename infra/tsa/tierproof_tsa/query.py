"""What a client asks: a time-stamp query read strictly, or the reason why it is refused. Pure. RFC 3161 section 2.4.1."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from asn1crypto import tsp

VERSION: Final = 1
# The hashes that may be stamped, with their sizes in bytes; SHA-1 and older ones say nothing any more (RFC 8933).
DIGEST_SIZES: Final = {
    "2.16.840.1.101.3.4.2.1": 32,  # SHA-256
    "2.16.840.1.101.3.4.2.2": 48,  # SHA-384
    "2.16.840.1.101.3.4.2.3": 64,  # SHA-512
}
# What asn1crypto raises over damaged bytes; the last two come from types that it meets where none may be.
UNREADABLE: Final = (ValueError, TypeError, OverflowError, RecursionError, AttributeError, IndexError)


class Failure(StrEnum):
    """Why no token is given (PKIFailureInfo, RFC 3161 section 2.4.2)."""

    BAD_ALG = "bad_alg"
    BAD_REQUEST = "bad_request"
    BAD_DATA_FORMAT = "bad_data_format"
    TIME_NOT_AVAILABLE = "time_not_available"
    UNACCEPTED_POLICY = "unaccepted_policy"
    UNACCEPTED_EXTENSIONS = "unaccepted_extensions"
    SYSTEM_FAILURE = "system_failure"


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A query that gets no token, and why."""

    failure: Failure
    because: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """What is to be stamped: a hash of 32, 48 or 64 bytes by the algorithm's OID; the nonce, if any, comes back."""

    digest_algorithm: str
    digest: bytes
    nonce: int | None
    wants_certificate: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Fields:
    """A query's members as they stand in the DER, not judged yet."""

    version: int
    digest_algorithm: str
    digest: bytes
    policy: str | None
    nonce: int | None
    wants_certificate: bool
    extensions: int


def read_query(body: bytes, policy: str) -> Query | Refused:
    """Read a DER TimeStampReq for an authority of one policy (dotted OID)."""
    try:
        fields = _fields(body)
    except UNREADABLE:
        return Refused(failure=Failure.BAD_DATA_FORMAT, because="the body is not a TimeStampReq in DER")
    return _judged(fields, policy)


def _judged(fields: Fields, policy: str) -> Query | Refused:
    size = DIGEST_SIZES.get(fields.digest_algorithm)
    if fields.version != VERSION:
        return Refused(failure=Failure.BAD_REQUEST, because=f"version {fields.version} is unknown; {VERSION} is spoken")
    if size is None:
        return Refused(failure=Failure.BAD_ALG, because="the hash is not SHA-256, SHA-384 or SHA-512")
    if len(fields.digest) != size:
        return Refused(failure=Failure.BAD_DATA_FORMAT, because=f"the hash has {len(fields.digest)} bytes, not {size}")
    if fields.policy not in {None, policy}:
        return Refused(failure=Failure.UNACCEPTED_POLICY, because=f"the policy is not {policy}")
    if fields.extensions:
        return Refused(failure=Failure.UNACCEPTED_EXTENSIONS, because="no extension is known")
    return Query(
        digest_algorithm=fields.digest_algorithm,
        digest=fields.digest,
        nonce=fields.nonce,
        wants_certificate=fields.wants_certificate,
    )


def _fields(body: bytes) -> Fields:
    """Return a query's members; raises ValueError or TypeError for bytes that are no DER TimeStampReq."""
    request: Any = tsp.TimeStampReq.load(body, strict=True)
    imprint = request["message_imprint"]
    policy, nonce = request["req_policy"], request["nonce"]
    fields = Fields(
        version=int(request["version"]),
        digest_algorithm=imprint["hash_algorithm"]["algorithm"].dotted,
        digest=bytes(imprint["hashed_message"]),
        policy=None if policy.native is None else policy.dotted,
        nonce=None if nonce.native is None else int(nonce),
        wants_certificate=bool(request["cert_req"].native),
        extensions=len(request["extensions"]),
    )
    if request.dump(force=True) != body:
        raise ValueError("not in the one form that DER allows")
    return fields
