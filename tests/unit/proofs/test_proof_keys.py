import stat
from pathlib import Path

import pytest
from tierproof_proofs.errors import Malformed, UnusableKey
from tierproof_proofs.keys import Ed25519Signer, Ed25519Verifier, load_key, load_or_create_key, write_secret
from tierproof_proofs.trust import Trust


def test_a_key_file_is_made_once_and_read_by_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "log.pem"
    first = load_or_create_key(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load_or_create_key(path).public_key == first.public_key
    assert [entry.name for entry in path.parent.iterdir()] == ["log.pem"]


def test_a_second_writer_gets_the_first_ones_key(tmp_path: Path) -> None:
    path = tmp_path / "key"
    write_secret(path, b"first")
    write_secret(path, b"second")
    assert path.read_bytes() == b"first"


def test_a_key_that_others_may_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "key"
    load_or_create_key(path)
    path.chmod(0o640)
    with pytest.raises(UnusableKey, match="chmod 600"):
        load_key(path)


@pytest.mark.parametrize("content", [b"", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"])
def test_what_is_no_key_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "key"
    write_secret(path, content)
    with pytest.raises(UnusableKey, match="PKCS#8"):
        load_key(path)


def test_a_missing_key_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnusableKey, match="No such file"):
        load_key(tmp_path / "none")


def test_signature_holds_for_its_message_and_key_only() -> None:
    signer, other = Ed25519Signer.from_seed(bytes(32)), Ed25519Signer.from_seed(b"1" * 32)
    signature = signer.sign(b"message")
    assert Ed25519Verifier(signer.public_key).verify(b"message", signature)
    assert not Ed25519Verifier(signer.public_key).verify(b"messagE", signature)
    assert not Ed25519Verifier(other.public_key).verify(b"message", signature)
    assert not Ed25519Verifier(signer.public_key).verify(b"message", signature[:-1])
    with pytest.raises(Malformed):
        Ed25519Verifier(b"short")


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"log_keys": 1}', '{"log_keys": ["x"], "quorums": 2}', '{"log": "a+00000000+AAAA"}']
)
def test_what_is_no_trust_file_is_refused(text: str) -> None:
    with pytest.raises(Malformed):
        Trust.from_json(text)
