"""Tokens are read and verified by programs that know nothing of us: `openssl ts`, and rfc3161-client."""

import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha384
from pathlib import Path

import pytest
from asn1crypto import cms, core, tsp
from cryptography.hazmat.primitives.serialization import Encoding
from rfc3161_client import HashAlgorithm, TimestampRequestBuilder, VerificationError, VerifierBuilder
from rfc3161_client import decode_timestamp_response as decoded
from tierproof_tsa.authority import Authority
from tierproof_tsa.identity import Making, load_or_create
from tierproof_tsa.ticks import Ticks
from tierproof_tsa.token import Terms

POLICY = "2.25.261384270361352183466164312117206014317"
NOON = datetime(2026, 3, 1, 12, 0, 0, 250_000, tzinfo=UTC)
NOTE = b"tierproof.local/ledger\n7\nqDrl\n"
needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="the openssl program is not installed")


@dataclass(slots=True)
class Clock:
    now: datetime = NOON

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def authority(tmp_path: Path, clock: Clock) -> Iterator[Authority]:
    identity = load_or_create(
        tmp_path / "key.pem", tmp_path / "tsa.pem", Making(name="a test's authority", days=3650, at=NOON)
    )
    with Ticks(tmp_path / "state", timedelta(seconds=1)) as ticks:
        terms = Terms(policy=POLICY, accuracy_ms=1500)
        yield Authority(identity=identity, terms=terms, ticks=ticks, clock=clock)


@pytest.fixture
def openssl(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["openssl", "ts", *arguments], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=30
        )

    return run


@needs_openssl
@pytest.mark.requirement("LED-proof")
@pytest.mark.parametrize("digest", ["-sha256", "-sha384", "-sha512"])
@pytest.mark.parametrize("more", [(), ("-cert",), ("-no_nonce",), ("-cert", "-tspolicy", POLICY)])
def test_openssl_asks_and_verifies(
    authority: Authority,
    tmp_path: Path,
    openssl: Callable[..., subprocess.CompletedProcess[str]],
    digest: str,
    more: tuple[str, ...],
) -> None:
    (tmp_path / "note").write_bytes(NOTE)
    (tmp_path / "other").write_bytes(NOTE + b"!")
    openssl("-query", "-data", "note", digest, *more, "-out", "query").check_returncode()
    (tmp_path / "reply").write_bytes(authority.answer((tmp_path / "query").read_bytes()))
    trust = ("-CAfile", "tsa.pem", *(() if "-cert" in more else ("-untrusted", "tsa.pem")))
    for against in (("-queryfile", "query"), ("-data", "note")):
        verified = openssl("-verify", "-in", "reply", *against, *trust)
        assert "Verification: OK" in verified.stdout, verified.stderr
    assert openssl("-verify", "-in", "reply", "-data", "other", *trust).returncode != 0
    shown = openssl("-reply", "-in", "reply", "-text").stdout
    assert "Time stamp: Mar  1 12:00:00.25 2026 GMT" in shown
    assert "Accuracy: 0x01 seconds, 0x01F4 millis, unspecified micros" in shown
    assert "Ordering: yes" in shown
    assert f"Policy OID: {POLICY}" in shown
    assert "TSA: DirName:/CN=a test's authority" in shown


@needs_openssl
@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (("-sha1",), "unrecognized or unsupported algorithm"),
        (("-sha256", "-tspolicy", "1.2.3.4"), "the requested TSA policy is not supported"),
    ],
)
def test_openssl_reads_why_there_is_no_token(
    authority: Authority,
    tmp_path: Path,
    openssl: Callable[..., subprocess.CompletedProcess[str]],
    asked: tuple[str, ...],
    words: str,
) -> None:
    (tmp_path / "note").write_bytes(NOTE)
    openssl("-query", "-data", "note", *asked, "-out", "query").check_returncode()
    (tmp_path / "reply").write_bytes(authority.answer((tmp_path / "query").read_bytes()))
    shown = openssl("-reply", "-in", "reply", "-text").stdout
    assert "Status: Rejected." in shown
    assert words in shown
    assert "Not included." in shown


@pytest.mark.requirement("LED-proof")
@pytest.mark.parametrize("algorithm", list(HashAlgorithm))
def test_rfc3161_client_verifies(authority: Authority, algorithm: HashAlgorithm) -> None:
    request = TimestampRequestBuilder().data(NOTE).hash_algorithm(algorithm).build()
    reply = decoded(authority.answer(request.as_bytes()))
    certificate = authority.identity.certificate
    verifier = VerifierBuilder.from_request(request).add_root_certificate(certificate).build()
    assert verifier.verify_message(reply, NOTE)
    with pytest.raises(VerificationError, match="Mismatch between messages"):
        verifier.verify_message(reply, NOTE + b"!")
    assert reply.tst_info.gen_time == NOON.replace(microsecond=0)
    assert reply.tst_info.nonce == request.nonce
    assert reply.tst_info.ordering


def test_a_stranger_tells_a_token_of_another_authority(authority: Authority, tmp_path: Path) -> None:
    other = load_or_create(tmp_path / "o.key", tmp_path / "o.pem", Making(name="a test's authority", days=9, at=NOON))
    request = TimestampRequestBuilder().data(NOTE).build()
    verifier = VerifierBuilder.from_request(request).add_root_certificate(other.certificate).build()
    with pytest.raises(VerificationError):
        verifier.verify_message(decoded(authority.answer(request.as_bytes())), NOTE)


def test_one_changed_byte_of_what_is_signed_fails(authority: Authority) -> None:
    request = TimestampRequestBuilder().data(NOTE).build()
    reply = authority.answer(request.as_bytes())
    root = authority.identity.certificate
    verifier = VerifierBuilder.from_request(request).tsa_certificate(root).add_root_certificate(root).build()
    verifier.verify_message(decoded(reply), NOTE)
    signed = tsp.TimeStampResp.load(reply)["time_stamp_token"]["content"]
    signer = signed["signer_infos"][0]
    for part in (signed["encap_content_info"]["content"], signer["signed_attrs"], signer["signature"]):
        start = reply.index(part.contents)
        for place in range(start, start + len(part.contents)):
            changed = bytearray(reply)
            changed[place] ^= 0x01
            with pytest.raises((VerificationError, ValueError)):
                verifier.verify_message(decoded(bytes(changed)), NOTE)


def test_a_certificate_comes_only_when_asked_for(authority: Authority) -> None:
    for wanted in (True, False):
        request = TimestampRequestBuilder().data(NOTE).cert_request(cert_request=wanted).build()
        reply = decoded(authority.answer(request.as_bytes()))
        known = {authority.identity.certificate.public_bytes(Encoding.DER)}
        assert reply.signed_data.certificates == (known if wanted else set())


def test_the_signed_attributes_name_the_certificate(authority: Authority) -> None:
    request = tsp.TimeStampReq(
        {
            "version": 1,
            "message_imprint": {"hash_algorithm": {"algorithm": "sha384"}, "hashed_message": sha384(NOTE).digest()},
        }
    )
    reply = tsp.TimeStampResp.load(authority.answer(request.dump()), strict=True)
    signed = cms.ContentInfo.load(reply["time_stamp_token"].dump())["content"]
    [signer] = signed["signer_infos"]
    assert signer["signature_algorithm"]["algorithm"].native == "sha256_ecdsa"  # the strangers above do not look
    attributes = {each["type"].native: each["values"] for each in signer["signed_attrs"]}
    assert attributes.keys() == {"content_type", "message_digest", "signing_certificate_v2"}
    [[named]] = [list(each["certs"]) for each in attributes["signing_certificate_v2"]]
    assert named["issuer_serial"]["serial_number"].native == authority.identity.certificate.serial_number


def test_tokens_are_ordered_and_numbered_once(authority: Authority, clock: Clock) -> None:
    request = TimestampRequestBuilder().data(NOTE).build().as_bytes()
    stamped = []
    for step in (0, 0, -100, 5, -300, 5):
        clock.now += timedelta(milliseconds=step)
        content = tsp.TimeStampResp.load(authority.answer(request))["time_stamp_token"]["content"]
        stamped.append(content["encap_content_info"]["content"].parsed)
    times = [each["gen_time"].native for each in stamped]
    serials = [each["serial_number"].native for each in stamped]
    assert times == sorted(set(times))
    assert serials == sorted(set(serials))


def status_of(reply: bytes) -> tsp.PKIStatusInfo:
    return tsp.PKIStatusInfo.load(core.Sequence.load(reply, strict=True).contents, strict=True)


def test_a_clock_set_back_gives_no_time(authority: Authority, clock: Clock) -> None:
    request = TimestampRequestBuilder().data(NOTE).build().as_bytes()
    authority.answer(request)
    clock.now -= timedelta(hours=1)
    status = status_of(authority.answer(request))
    assert status["status"].native == "rejection"
    assert status["fail_info"].native == {"time_not_available"}


def test_an_expired_certificate_gives_no_time(authority: Authority, clock: Clock) -> None:
    assert authority.able() is None
    clock.now += timedelta(days=4000)
    status = status_of(authority.answer(TimestampRequestBuilder().data(NOTE).build().as_bytes()))
    assert status["fail_info"].native == {"system_failure"}
    assert "valid from" in (authority.able() or "")
