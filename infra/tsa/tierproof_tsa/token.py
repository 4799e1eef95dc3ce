"""The time-stamp token: what was stamped, when, by whom, signed as CMS. Pure but for the signature. RFC 3161, RFC 5652, RFC 5816."""

from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any

from asn1crypto import cms, core, tsp
from asn1crypto import x509 as asn1_x509
from cryptography.hazmat.primitives.serialization import Encoding

from tierproof_tsa.identity import Identity
from tierproof_tsa.query import Query, Refused

MILLISECOND = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """Under which policy (dotted OID), and how exactly, times are given: the clock is right within `accuracy_ms`."""

    policy: str
    accuracy_ms: int


def granted(query: Query, terms: Terms, identity: Identity, *, at: datetime, serial: int) -> bytes:
    """Return the DER TimeStampResp with a token for a query; `at` is aware, its microseconds are kept."""
    certificate = asn1_x509.Certificate.load(identity.certificate.public_bytes(Encoding.DER))
    content = _content(query, terms, certificate, at=at, serial=serial)
    signed: dict[str, Any] = {
        "version": "v3",
        "digest_algorithms": [{"algorithm": "sha256"}],
        "encap_content_info": {"content_type": "tst_info", "content": content},
        "signer_infos": [_signer(content, certificate, identity)],
    }
    if query.wants_certificate:
        signed["certificates"] = [certificate]
    token = cms.ContentInfo({"content_type": "signed_data", "content": cms.SignedData(signed)})
    response = tsp.TimeStampResp({"status": {"status": "granted"}, "time_stamp_token": token})
    return bytes(response.dump())


def refusal(refused: Refused) -> bytes:
    """Return the DER TimeStampResp that says why there is no token."""
    status = tsp.PKIStatusInfo(
        {"status": "rejection", "status_string": [refused.because], "fail_info": {refused.failure.value}}
    )
    return bytes(core.Sequence(contents=status.dump()).dump())


def _content(query: Query, terms: Terms, certificate: Any, *, at: datetime, serial: int) -> Any:  # noqa: ANN401 - asn1crypto has no types
    seconds, milliseconds = divmod(terms.accuracy_ms, MILLISECOND)
    accuracy = {name: value for name, value in (("seconds", seconds), ("millis", milliseconds)) if value}
    stamped: dict[str, Any] = {
        "version": "v1",
        "policy": terms.policy,
        "message_imprint": {
            "hash_algorithm": {"algorithm": query.digest_algorithm},
            "hashed_message": query.digest,
        },
        "serial_number": serial,
        "gen_time": at,
        "accuracy": accuracy,
        "ordering": True,
        "tsa": asn1_x509.GeneralName(name="directory_name", value=certificate.subject),
    }
    if query.nonce is not None:
        stamped["nonce"] = query.nonce
    return core.ParsableOctetString(tsp.TSTInfo(stamped).dump())


def _signer(content: Any, certificate: Any, identity: Identity) -> cms.SignerInfo:  # noqa: ANN401 - as above
    attributes = cms.CMSAttributes(
        [
            {"type": "content_type", "values": ["tst_info"]},
            {"type": "message_digest", "values": [sha256(bytes(content)).digest()]},
            {"type": "signing_certificate_v2", "values": [{"certs": [_certificate_id(certificate)]}]},
        ]
    )
    return cms.SignerInfo(
        {
            "version": "v1",
            "sid": {"issuer_and_serial_number": _issuer_and_serial(certificate)},
            "digest_algorithm": {"algorithm": "sha256"},
            "signed_attrs": attributes,
            "signature_algorithm": {"algorithm": "sha256_ecdsa"},
            "signature": identity.sign(attributes.dump()),
        }
    )


def _issuer_and_serial(certificate: Any) -> dict[str, Any]:  # noqa: ANN401 - as above
    return {"issuer": certificate.issuer, "serial_number": certificate.serial_number}


def _certificate_id(certificate: Any) -> dict[str, Any]:  # noqa: ANN401 - as above
    """Return the ESSCertIDv2: which certificate speaks, so that no other of the same key can take its place (RFC 5816)."""
    issuer = [asn1_x509.GeneralName(name="directory_name", value=certificate.issuer)]
    return {
        "cert_hash": sha256(certificate.dump()).digest(),
        "issuer_serial": {"issuer": issuer, "serial_number": certificate.serial_number},
    }
