"""The log's key in a token: SoftHSM 2 stands in for an HSM. What a file's key does, a token's does, and it says what is wrong.

SoftHSM is a system package (softhsm2); no wheel ships it. Where it is missing these tests are skipped.
TIERPROOF_PKCS11_MODULE names its module where that lies elsewhere.
"""

import os
import secrets
import shutil
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from tierproof_evidence_ledger.pkcs11_uri import parse_uri
from tierproof_evidence_ledger.signers import signer_at
from tierproof_proofs.errors import NotVerified
from tierproof_proofs.keys import Ed25519Signer, Ed25519Verifier, Signer, key_id_of
from tierproof_proofs.note import NoteSigner, open_note, sign_note

pkcs11 = pytest.importorskip("pkcs11", reason="the extra pkcs11 of tierproof-evidence-ledger is not installed")
from tierproof_evidence_ledger.pkcs11 import Pkcs11Signer, TokenUnusable, raw_point  # noqa: E402 - needs the extra

PLACES = (
    os.environ.get("TIERPROOF_PKCS11_MODULE", "/usr/lib/softhsm/libsofthsm2.so"),
    "/usr/lib64/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
    "/usr/local/lib/softhsm/libsofthsm2.so",
    "/opt/homebrew/lib/softhsm/libsofthsm2.so",
)
MODULE = next((path for path in PLACES if Path(path).exists()), None)
pytestmark = pytest.mark.skipif(
    MODULE is None or shutil.which("softhsm2-util") is None, reason="SoftHSM 2 is not installed (package softhsm2)"
)
PIN, OFFICER = "rehearsal-4711", "officer-4711"
ED25519 = b"\x13\x0cedwards25519"
P256 = bytes.fromhex("06082a8648ce3d030107")


@dataclass(frozen=True, slots=True, kw_only=True)
class SoftToken:
    """A token of SoftHSM with one Ed25519 key `log`."""

    label: str
    pin_file: Path

    def uri(self, key: str = "object=log") -> str:
        return f"pkcs11:token={self.label};{key}?module-path={MODULE}&pin-source=file:{self.pin_file}"

    def generate(self, label: str, *, key_id: bytes = b"\x01", curve: bytes = ED25519) -> None:
        """Generate a key pair in the token (CKM_EC_EDWARDS_KEY_PAIR_GEN, or ECDSA's for P-256)."""
        edwards = curve == ED25519
        kind = pkcs11.KeyType.EC_EDWARDS if edwards else pkcs11.KeyType.EC
        how = pkcs11.Mechanism.EC_EDWARDS_KEY_PAIR_GEN if edwards else pkcs11.Mechanism.EC_KEY_PAIR_GEN
        with self.session() as session:
            parameters = session.create_domain_parameters(kind, {pkcs11.Attribute.EC_PARAMS: curve}, local=True)
            parameters.generate_keypair(mechanism=how, store=True, label=label, id=key_id)

    def forget_public(self, label: str) -> None:
        with self.session() as session:
            session.get_key(object_class=pkcs11.ObjectClass.PUBLIC_KEY, label=label).destroy()

    def session(self) -> Any:
        token = pkcs11.lib(MODULE).get_token(token_label=self.label)
        try:
            return token.open(user_pin=PIN, rw=True)
        except pkcs11.UserAlreadyLoggedIn:
            return token.open(rw=True)


def utility(*arguments: str) -> None:
    subprocess.run(["softhsm2-util", *arguments], check=True, capture_output=True, timeout=30)


@pytest.fixture(scope="module")
def softhsm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Give SoftHSM a folder of its own."""
    folder = tmp_path_factory.mktemp("softhsm")
    (folder / "tokens").mkdir()
    (folder / "softhsm2.conf").write_text(f"directories.tokendir = {folder / 'tokens'}\nlog.level = ERROR\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOFTHSM2_CONF", str(folder / "softhsm2.conf"))
        yield folder


@pytest.fixture
def token(softhsm: Path, tmp_path: Path) -> SoftToken:
    """Return a fresh token with a key."""
    label = f"ledger-{secrets.token_hex(4)}"
    utility("--init-token", "--free", "--label", label, "--so-pin", OFFICER, "--pin", PIN)
    pkcs11.lib(MODULE).reinitialize()
    pin_file = tmp_path / "pin"
    pin_file.touch(0o600)
    pin_file.write_text(PIN + "\n")
    made = SoftToken(label=label, pin_file=pin_file)
    made.generate("log")
    return made


@pytest.fixture(params=["file", "token"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return where a key is: the tests that take it hold for any signer."""
    if request.param == "file":
        return str(tmp_path / "log.pem")
    found: SoftToken = request.getfixturevalue("token")
    return found.uri()


@pytest.mark.parametrize("size", [0, 1, 250, 70_000])
def test_any_signer_signs_what_ed25519_verifies(place: str, size: int) -> None:
    signer, message = signer_at(place), secrets.token_bytes(size)
    signature = signer.sign(message)
    assert len(signature) == 64
    assert Ed25519Verifier(signer.public_key).verify(message, signature)
    assert not Ed25519Verifier(signer.public_key).verify(message + b"!", signature)


def test_any_signer_is_deterministic_and_keeps_its_key(place: str) -> None:
    signer = signer_at(place)
    signature = signer.sign(b"a note")
    again = signer_at(place)
    assert (again.public_key, again.key_id, again.sign(b"a note")) == (signer.public_key, signer.key_id, signature)
    assert (signer.algorithm, signer.key_id) == ("ed25519", key_id_of(signer.public_key))


@pytest.mark.requirement("LED-proof")
def test_any_signer_signs_checkpoints(place: str) -> None:
    signer = NoteSigner(name="tierproof.local/ledger", signer=signer_at(place))
    signed = sign_note("tierproof.local/ledger\n7\nqDrl\n", [signer])
    open_note(signed.encode(), [signer.verifier_key])
    other = NoteSigner(name=signer.name, signer=Ed25519Signer.from_seed(bytes(32)))
    with pytest.raises(NotVerified):
        open_note(signed.encode(), [other.verifier_key])


def test_any_signer_works_for_several_threads(place: str) -> None:
    signer = signer_at(place)
    messages = [f"note {number}".encode() for number in range(200)]
    with ThreadPoolExecutor(8) as threads:
        signatures = list(threads.map(signer.sign, messages))
    verifier = Ed25519Verifier(signer.public_key)
    assert all(map(verifier.verify, messages, signatures))


def test_two_signers_of_one_token_work_together_and_alone(token: SoftToken) -> None:
    token.generate("next", key_id=b"\x02")
    first, second = Pkcs11Signer(parse_uri(token.uri())), Pkcs11Signer(parse_uri(token.uri("object=next")))
    assert first.public_key != second.public_key
    first.close()
    assert Ed25519Verifier(second.public_key).verify(b"note", second.sign(b"note"))
    assert Ed25519Verifier(first.public_key).verify(b"note", first.sign(b"note"))
    with ThreadPoolExecutor(4) as threads:
        assert len(set(threads.map(lambda signer: signer.sign(b"note"), [first, second] * 50))) == 2


def lost_by_closing(signer: Pkcs11Signer) -> None:
    signer._opened.session.close()


def lost_by_logging_out(signer: Pkcs11Signer) -> None:
    """Another key of this process goes: its logout is everybody's."""
    same_token = signer._where
    Pkcs11Signer(same_token).close()
    other = Pkcs11Signer(same_token)
    signer._opened.session.close()
    other.close()


def lost_by_finalizing(_signer: Pkcs11Signer) -> None:
    pkcs11.lib(MODULE).finalize()


def lost_with_the_module(_signer: Pkcs11Signer) -> None:
    pkcs11.lib(MODULE).reinitialize()


@pytest.mark.parametrize("lose", [lost_by_closing, lost_by_logging_out, lost_by_finalizing, lost_with_the_module])
def test_a_lost_session_is_opened_again(token: SoftToken, lose: Callable[[Pkcs11Signer], None]) -> None:
    signer = Pkcs11Signer(parse_uri(token.uri()))
    for _ in range(2):
        lose(signer)
        assert Ed25519Verifier(signer.public_key).verify(b"note", signer.sign(b"note"))


def test_a_token_that_is_gone_is_said_and_serves_again_when_back(token: SoftToken, softhsm: Path) -> None:
    signer: Signer = Pkcs11Signer(parse_uri(token.uri()))
    away = softhsm / "away"
    (softhsm / "tokens").rename(away)
    (softhsm / "tokens").mkdir()
    pkcs11.lib(MODULE).reinitialize()
    with pytest.raises(TokenUnusable, match="no such tokens"):
        signer.sign(b"note")
    (softhsm / "tokens").rmdir()
    away.rename(softhsm / "tokens")
    pkcs11.lib(MODULE).reinitialize()
    assert Ed25519Verifier(signer.public_key).verify(b"note", signer.sign(b"note"))


def test_a_token_that_comes_back_with_another_key_does_not_sign(token: SoftToken) -> None:
    signer = Pkcs11Signer(parse_uri(token.uri()))
    with token.session() as session:
        for each in list(session.get_objects({pkcs11.Attribute.LABEL: "log"})):
            each.destroy()
    token.generate("log")
    pkcs11.lib(MODULE).reinitialize()
    with pytest.raises(TokenUnusable, match="came back with another key"):
        signer.sign(b"note")


def test_a_public_key_of_somebody_else_is_found_out(token: SoftToken) -> None:
    token.generate("theirs", key_id=b"\x09")
    token.forget_public("log")
    with token.session() as session:
        theirs = session.get_key(object_class=pkcs11.ObjectClass.PUBLIC_KEY, label="theirs")
        theirs[pkcs11.Attribute.LABEL] = "log"
    with pytest.raises(TokenUnusable, match="another key than the public one"):
        Pkcs11Signer(parse_uri(token.uri()))


def test_a_wrong_pin_is_said_without_it(token: SoftToken) -> None:
    token.pin_file.write_text("not-the-pin")
    with pytest.raises(TokenUnusable, match="holds another PIN") as caught:
        Pkcs11Signer(parse_uri(token.uri()))
    assert "not-the-pin" not in caught.value.diagnosis()


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda path: path.chmod(0o640), "chmod 600"),
        (lambda path: path.unlink(), "No such file"),
        (lambda path: path.write_text("\n"), "empty"),
        (lambda path: path.write_bytes(b"\xff"), "not UTF-8"),
    ],
)
def test_a_pin_file_that_will_not_do_is_named(token: SoftToken, spoil: Callable[[Path], None], words: str) -> None:
    spoil(token.pin_file)
    with pytest.raises(TokenUnusable, match=words):
        Pkcs11Signer(parse_uri(token.uri()))


def test_a_module_that_is_none_is_named(token: SoftToken, tmp_path: Path) -> None:
    for module in (tmp_path / "missing.so", token.pin_file):
        with pytest.raises(TokenUnusable, match=f"{module}: not a PKCS#11 module"):
            Pkcs11Signer(replace(parse_uri(token.uri()), module=module))


def test_a_token_that_is_not_there_is_named(token: SoftToken) -> None:
    with pytest.raises(TokenUnusable, match="token nobody: no such tokens"):
        Pkcs11Signer(replace(parse_uri(token.uri()), token="nobody"))
    with pytest.raises(TokenUnusable, match="no such tokens"):
        Pkcs11Signer(replace(parse_uri(token.uri()), serial=b"77"))


def test_a_token_is_found_by_its_serial(token: SoftToken) -> None:
    serial = pkcs11.lib(MODULE).get_token(token_label=token.label).serial
    found = Pkcs11Signer(replace(parse_uri(token.uri()), token=None, serial=serial))
    assert found.public_key == signer_at(token.uri()).public_key


def test_a_key_is_found_by_its_id(token: SoftToken) -> None:
    assert signer_at(token.uri("id=%01")).public_key == signer_at(token.uri()).public_key


def test_keys_that_will_not_do_are_named(token: SoftToken) -> None:
    token.generate("ecdsa", key_id=b"\x02", curve=P256)
    token.generate("twice", key_id=b"\x03")
    token.generate("twice", key_id=b"\x04")
    token.generate("alone", key_id=b"\x05")
    token.forget_public("alone")
    for key, words in {
        "object=nobody": "no private key",
        "object=ecdsa": "a key of type EC;",
        "object=twice": "2 objects of class PRIVATE_KEY",
        "object=alone": "no public key beside it",
    }.items():
        with pytest.raises(TokenUnusable, match=words):
            signer_at(token.uri(key))
    assert signer_at(token.uri("object=twice;id=%04")).algorithm == "ed25519"


def test_the_private_key_stays_in_the_token(token: SoftToken) -> None:
    with token.session() as session:
        key = session.get_key(object_class=pkcs11.ObjectClass.PRIVATE_KEY, label="log")
        with pytest.raises(pkcs11.AttributeSensitive):
            key[pkcs11.Attribute.VALUE]
        assert not key[pkcs11.Attribute.EXTRACTABLE]


def test_softhsm_knows_no_ml_dsa(token: SoftToken) -> None:
    """The post-quantum key of the log stays a file until this test fails."""
    known = pkcs11.lib(MODULE).get_token(token_label=token.label).slot.get_mechanisms()
    assert pkcs11.Mechanism.EDDSA in known
    assert pkcs11.Mechanism.ML_DSA not in known


def test_a_point_is_read_in_each_wrapping_and_no_other_curve_s() -> None:
    raw = bytes(range(32))
    for wrapped in (raw, b"\x04\x20" + raw, b"\x03\x21\x00" + raw):
        assert raw_point(wrapped) == raw
    for wrong in (b"", raw[1:], b"\x04\x39" + bytes(57), b"\x05\x20" + raw):
        with pytest.raises(TokenUnusable, match="not of Ed25519"):
            raw_point(wrong)
