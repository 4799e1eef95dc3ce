"""A PKCS#11 URI says all that is needed and nothing that would be ignored; what it names need not exist to be read."""

from pathlib import Path

import pytest
from tierproof_evidence_ledger.errors import NotConfigured
from tierproof_evidence_ledger.pkcs11_uri import TokenKey, is_uri, parse_uri
from tierproof_evidence_ledger.signers import signer_at
from tierproof_proofs.errors import UnusableKey
from tierproof_proofs.keys import Ed25519Verifier

ACCESS = "?module-path=/usr/lib/hsm.so&pin-source=file:/run/pin"


def test_a_key_is_named_by_label_or_id_in_a_token_by_label_or_serial() -> None:
    assert parse_uri("pkcs11:token=the%20ledger;object=log" + ACCESS) == TokenKey(
        module=Path("/usr/lib/hsm.so"), pin_file=Path("/run/pin"), token="the ledger", label="log"
    )
    assert parse_uri("PKCS11:id=%01%FF;serial=0a1b;type=private" + ACCESS) == TokenKey(
        module=Path("/usr/lib/hsm.so"), pin_file=Path("/run/pin"), serial=b"0a1b", id=b"\x01\xff"
    )


@pytest.mark.parametrize("pin_source", ["/run/pin", "file:/run/pin", "file:///run/pin", "%2Frun%2Fpin"])
def test_a_pin_file_is_named_by_path_or_file_uri(pin_source: str) -> None:
    uri = f"pkcs11:token=a;object=b?pin-source={pin_source}&module-path=/m.so"
    assert parse_uri(uri).pin_file == Path("/run/pin")


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("/keys/log.pem", "starts with pkcs11:"),
        ("pkcs11:" + ACCESS, "name the token"),
        ("pkcs11:token=a" + ACCESS, "and the key"),
        ("pkcs11:object=a" + ACCESS, "name the token"),
        ("pkcs11:token=a;object=b", "module-path"),
        ("pkcs11:token=a;object=b?module-path=/m.so", "pin-source"),
        ("pkcs11:token=a;object=b?module-path=m.so&pin-source=/p", "module-path is the absolute path"),
        ("pkcs11:token=a;object=b?module-path=/m.so&pin-source=pin", "pin-source is the absolute path"),
        ("pkcs11:token=a;object=b?module-path=/m.so&pin-source=|/bin/ask", "pin-source is the absolute path"),
        ("pkcs11:token=a;object=b?module-path=/m.so&pin-source=file://host/p", "pin-source is the absolute path"),
        ("pkcs11:token=a;object=b?module-path=/m.so&pin-source=/p%00q", "pin-source is the absolute path"),
        ("pkcs11:token=a;object=b;pin-value=1234" + ACCESS, "a PIN stands in no setting"),
        ("pkcs11:token=a;object=b" + ACCESS + "&pin-value=1234", "a PIN stands in no setting"),
        ("pkcs11:token=a;object=b;slot-id=3" + ACCESS, "slot-id is not among"),
        ("pkcs11:token=a;object=b" + ACCESS + "&module-name=hsm", "module-name is not among"),
        ("pkcs11:token=a;object=b;object=c" + ACCESS, "object stands there twice"),
        ("pkcs11:token=a;object" + ACCESS, "object is not among"),
        ("pkcs11:token=%FF;object=b" + ACCESS, "token is not UTF-8"),
        ("pkcs11:token=a;object=b;type=public" + ACCESS, "type is private"),
    ],
)
def test_each_wrong_has_its_words_and_no_pin_among_them(uri: str, words: str) -> None:
    with pytest.raises(NotConfigured, match=words) as caught:
        parse_uri(uri)
    assert "1234" not in caught.value.diagnosis()


def test_the_key_s_words_name_key_and_token() -> None:
    assert str(parse_uri("pkcs11:token=a;object=b" + ACCESS)) == "key b in token a"
    assert str(parse_uri("pkcs11:serial=7;id=%0A" + ACCESS)) == "key id 0a in token serial 7"


def test_what_is_no_uri_is_a_file(tmp_path: Path) -> None:
    assert not is_uri("pkcs11.pem")
    signer = signer_at(tmp_path / "log.pem")
    assert signer_at(str(tmp_path / "log.pem")).public_key == signer.public_key
    assert Ed25519Verifier(signer.public_key).verify(b"note", signer.sign(b"note"))
    (tmp_path / "log.pem").chmod(0o644)
    with pytest.raises(UnusableKey):
        signer_at(tmp_path / "log.pem")


def test_a_missing_library_is_said_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pkcs11", None)
    monkeypatch.delitem(__import__("sys").modules, "tierproof_evidence_ledger.pkcs11", raising=False)
    with pytest.raises(NotConfigured, match="with the extra pkcs11"):
        signer_at("pkcs11:token=a;object=b" + ACCESS)
