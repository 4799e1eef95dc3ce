"""A time-stamp is kept only when it proves the right bytes, by a known authority; everything else has words of its own."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from asn1crypto import core, tsp
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from hypothesis import given
from hypothesis import strategies as st
from rfc3161_client import HashAlgorithm, TimestampRequestBuilder
from tierproof_evidence_ledger.errors import LedgerError, NotConfigured
from tierproof_evidence_ledger.timestamps import (
    StampRefused,
    StampUnproven,
    certificates_in,
    certificates_of,
    verify_stamp,
)
from tierproof_tsa.authority import Authority
from tierproof_tsa.identity import Identity, Making, load_or_create
from tierproof_tsa.ticks import Ticks
from tierproof_tsa.token import Terms

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
NOTE = b"tierproof.local/ledger\n7\nqDrl\n"


def authority_of(identity: Identity, folder: Path, at: datetime = NOON) -> Authority:
    ticks = Ticks(folder / f"state-{identity.certificate.serial_number}", timedelta(seconds=1))
    return Authority(identity=identity, terms=Terms(policy="2.25.7", accuracy_ms=1000), ticks=ticks, clock=lambda: at)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tsa")


@pytest.fixture(scope="module")
def authority(folder: Path) -> Iterator[Authority]:
    identity = load_or_create(folder / "key", folder / "tsa.pem", Making(name="a test's", days=30, at=NOON))
    made = authority_of(identity, folder)
    yield made
    made.ticks.close()


@pytest.fixture(scope="module")
def reply(authority: Authority) -> bytes:
    return stamped(authority)


def stamped(authority: Authority, note: bytes = NOTE, **more: bool) -> bytes:
    return authority.answer(TimestampRequestBuilder(note, HashAlgorithm.SHA256, **more).build().as_bytes())


@pytest.mark.requirement("LED-proof")
def test_a_stamp_says_when_the_note_existed(authority: Authority, reply: bytes) -> None:
    assert verify_stamp(reply, NOTE, [authority.identity.certificate]) == NOON


def test_a_stamp_of_other_bytes_proves_nothing(authority: Authority, reply: bytes) -> None:
    for other in (NOTE + b"\n", NOTE[:-1], b""):
        with pytest.raises(StampUnproven, match="proves nothing"):
            verify_stamp(reply, other, [authority.identity.certificate])


def test_a_stamp_without_its_certificate_is_read_with_the_known_one(authority: Authority, folder: Path) -> None:
    other = load_or_create(folder / "o1", folder / "o1.pem", Making(name="another", days=30, at=NOON))
    bare = stamped(authority, cert_req=False)
    assert verify_stamp(bare, NOTE, [other.certificate, authority.identity.certificate]) == NOON
    with pytest.raises(StampUnproven):
        verify_stamp(bare, NOTE, [other.certificate])


def test_nobody_is_believed_who_is_not_known(authority: Authority, folder: Path, reply: bytes) -> None:
    other = load_or_create(folder / "o2", folder / "o2.pem", Making(name="a test's", days=30, at=NOON))
    with pytest.raises(StampUnproven, match="proves nothing"):
        verify_stamp(reply, NOTE, [other.certificate])
    with pytest.raises(StampUnproven, match="no certificate"):
        verify_stamp(reply, NOTE, [])


def test_another_hash_than_agreed_is_refused(authority: Authority) -> None:
    query = TimestampRequestBuilder(NOTE, HashAlgorithm.SHA512).build()
    with pytest.raises(StampUnproven, match="SHA-256"):
        verify_stamp(authority.answer(query.as_bytes()), NOTE, [authority.identity.certificate])


def test_a_refusal_is_told_in_the_authority_s_words(authority: Authority) -> None:
    refusal = authority.answer(b"nonsense")
    with pytest.raises(StampRefused, match="not a TimeStampReq") as caught:
        verify_stamp(refusal, NOTE, [authority.identity.certificate])
    assert isinstance(caught.value, LedgerError)
    assert "no token" in caught.value.diagnosis()


@pytest.mark.parametrize("status", ["waiting", "revocation_warning", "revocation_notification"])
def test_any_status_but_granted_is_no_stamp(authority: Authority, reply: bytes, status: str) -> None:
    token = tsp.TimeStampResp.load(reply)["time_stamp_token"].dump()
    changed = core.Sequence(contents=tsp.PKIStatusInfo({"status": status}).dump() + token).dump()
    with pytest.raises(StampRefused, match=status.upper()):
        verify_stamp(changed, NOTE, [authority.identity.certificate])


def test_a_status_that_nobody_knows_is_no_stamp(authority: Authority, reply: bytes) -> None:
    token = tsp.TimeStampResp.load(reply)["time_stamp_token"].dump()
    status = core.Sequence(contents=core.Integer(77).dump()).dump()
    with pytest.raises(StampUnproven):
        verify_stamp(core.Sequence(contents=status + token).dump(), NOTE, [authority.identity.certificate])


def test_granted_without_a_token_is_no_stamp(authority: Authority) -> None:
    empty = core.Sequence(contents=tsp.PKIStatusInfo({"status": "granted"}).dump()).dump()
    with pytest.raises(StampUnproven):
        verify_stamp(empty, NOTE, [authority.identity.certificate])


@given(st.binary(max_size=100))
def test_no_bytes_make_it_fall(authority: Authority, body: bytes) -> None:
    with pytest.raises((StampUnproven, StampRefused)):
        verify_stamp(body, NOTE, [authority.identity.certificate])


@pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")  # a serial number of zero
@given(st.data())
def test_no_changed_byte_makes_it_fall_or_moves_the_time(
    authority: Authority, reply: bytes, data: st.DataObject
) -> None:
    changed = bytearray(reply)
    for place in data.draw(st.lists(st.integers(0, len(reply) - 1), min_size=1, max_size=3, unique=True)):
        changed[place] ^= data.draw(st.integers(1, 255))
    try:
        at = verify_stamp(bytes(changed), NOTE, [authority.identity.certificate])
    except (StampUnproven, StampRefused):
        return
    assert at == NOON


@pytest.mark.parametrize(
    ("known", "twisted"),
    [
        (b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x0a"),  # version 11 of X.509
        (b"\x06\x03\x55\x1d\x13", b"\x06\x03\x55\x1d\x0f"),  # key usage, twice
    ],
)
def test_a_twisted_certificate_in_the_reply_is_no_stamp(
    authority: Authority, reply: bytes, known: bytes, twisted: bytes
) -> None:
    assert reply.count(known) == 1
    with pytest.raises(StampUnproven, match="not a time-stamp reply"):
        verify_stamp(reply.replace(known, twisted), NOTE, [authority.identity.certificate])


class Chain:
    """An authority whose certificate a root has issued."""

    def __init__(self, *purposes: x509.ObjectIdentifier, critical: bool = True) -> None:
        self.root_key, self.key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
        names = [x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]) for name in ("a root", "an authority")]
        common = x509.CertificateBuilder().issuer_name(names[0]).not_valid_before(NOON - timedelta(days=1))
        common = common.not_valid_after(NOON + timedelta(days=1))
        root = common.subject_name(names[0]).public_key(self.root_key.public_key()).serial_number(1)
        root = root.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        self.root = root.sign(self.root_key, SHA256())
        leaf = common.subject_name(names[1]).public_key(self.key.public_key()).serial_number(2)
        leaf = leaf.add_extension(x509.ExtendedKeyUsage(purposes), critical=critical)
        self.identity = Identity(key=self.key, certificate=leaf.sign(self.root_key, SHA256()))

    def stamped(self, folder: Path, at: datetime) -> bytes:
        made = authority_of(self.identity, folder, at)
        with made.ticks:
            object.__setattr__(made, "identity", Unjudged(key=self.key, certificate=self.identity.certificate))
            return stamped(made)


class Unjudged(Identity):
    """An identity that signs whatever the date is."""

    def require_valid(self, at: datetime) -> None:
        """Look away."""


def test_a_chain_is_followed_to_a_known_root(tmp_path: Path) -> None:
    chain = Chain(ExtendedKeyUsageOID.TIME_STAMPING)
    reply = chain.stamped(tmp_path, NOON)
    assert verify_stamp(reply, NOTE, [chain.root]) == NOON
    with pytest.raises(StampUnproven):
        verify_stamp(reply, NOTE, [Chain(ExtendedKeyUsageOID.TIME_STAMPING).root])


def test_a_certificate_counts_at_the_token_s_time(tmp_path: Path) -> None:
    """NOON lies in the past of whoever runs this, and the certificate has run out: the token still counts."""
    chain = Chain(ExtendedKeyUsageOID.TIME_STAMPING)
    late = chain.stamped(tmp_path, NOON + timedelta(days=2))
    with pytest.raises(StampUnproven):
        verify_stamp(late, NOTE, [chain.root])


@pytest.mark.parametrize(
    "chain",
    [Chain(ExtendedKeyUsageOID.CODE_SIGNING), Chain(ExtendedKeyUsageOID.TIME_STAMPING, critical=False)],
    ids=["another purpose", "not critical"],
)
def test_a_certificate_for_something_else_gives_no_time(chain: Chain, tmp_path: Path) -> None:
    with pytest.raises(StampUnproven):
        verify_stamp(chain.stamped(tmp_path, NOON), NOTE, [chain.root])


def test_certificates_are_read_one_after_another(authority: Authority, folder: Path, tmp_path: Path) -> None:
    own, chain = authority.identity.certificate, Chain(ExtendedKeyUsageOID.TIME_STAMPING)
    pem = own.public_bytes(Encoding.PEM) + b"\n" + chain.root.public_bytes(Encoding.PEM)
    assert certificates_of(pem) == (own, chain.root)
    assert certificates_in(folder / "tsa.pem") == (own,)
    for wrong in (b"", b"hello", b"-----BEGIN CERTIFICATE-----\n"):
        with pytest.raises(NotConfigured, match="PEM"):
            certificates_of(wrong)
    with pytest.raises(NotConfigured, match="nowhere"):
        certificates_in(tmp_path / "nowhere")
