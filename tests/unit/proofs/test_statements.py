"""Statements: what is signed is what is read, and nothing else passes for it."""

import json

import pytest
from tierproof_proofs.dsse import sign_envelope
from tierproof_proofs.errors import Malformed, NotVerified
from tierproof_proofs.keys import Ed25519Signer, Ed25519Verifier
from tierproof_proofs.statements import PAYLOAD_TYPE, sign_statement, statement_bytes, verify_statement

DIGEST = "sha256:" + "ab" * 32
TYPE = "urn:tierproof:test:v1"


def verifier_of(signer: Ed25519Signer) -> Ed25519Verifier:
    return Ed25519Verifier.from_base64(signer.public_base64)


@pytest.fixture
def signer() -> Ed25519Signer:
    return Ed25519Signer.from_seed(bytes([1]) * 32)


@pytest.mark.requirement("S7.2-lineage")
def test_a_statement_comes_back_as_it_was_said(signer: Ed25519Signer) -> None:
    payload = statement_bytes({"set": DIGEST}, TYPE, {"records": 3, "labels": {"internal": 3}})
    said = verify_statement(sign_statement(payload, [signer]), {"curator": verifier_of(signer)}, TYPE)
    assert (said.subjects, said.predicate["records"], said.signed_by) == ({"set": DIGEST}, 3, frozenset({"curator"}))
    assert said.payload == payload


def test_another_key_another_type_or_a_changed_byte_does_not_pass(signer: Ed25519Signer) -> None:
    envelope = sign_statement(statement_bytes({"set": DIGEST}, TYPE, {}), [signer])
    other = Ed25519Signer.from_seed(bytes([2]) * 32)
    with pytest.raises(NotVerified):
        verify_statement(envelope, {"curator": verifier_of(other)}, TYPE)
    with pytest.raises(Malformed, match="not a statement of the type"):
        verify_statement(envelope, {"curator": verifier_of(signer)}, "urn:tierproof:other:v1")
    changed = {**envelope, "payload": envelope["payload"][:-4] + "AAAA"}
    with pytest.raises(NotVerified):
        verify_statement(changed, {"curator": verifier_of(signer)}, TYPE)


@pytest.mark.parametrize("payload", [b"[]", b"{}", b'{"_type": "x"}', b"not json", b"[" * 100_000])
def test_signed_nonsense_is_no_statement(signer: Ed25519Signer, payload: bytes) -> None:
    with pytest.raises(Malformed):
        verify_statement(sign_envelope(PAYLOAD_TYPE, payload, [signer]), {"curator": verifier_of(signer)}, TYPE)


def test_a_subject_without_a_whole_digest_is_refused(signer: Ed25519Signer) -> None:
    with pytest.raises(Malformed, match="64 hex digits"):
        statement_bytes({"set": "sha256:abc"}, TYPE, {})
    said = json.loads(statement_bytes({"set": DIGEST}, TYPE, {}))
    said["subject"][0]["digest"]["sha256"] = "zz" * 32
    envelope = sign_envelope(PAYLOAD_TYPE, json.dumps(said).encode(), [signer])
    with pytest.raises(Malformed, match="64 hex digits"):
        verify_statement(envelope, {"curator": verifier_of(signer)}, TYPE)
