"""Key and certificate: made once, kept, for time-stamping alone; wrong pairs are named and mended by hand."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID
from tierproof_tsa.errors import UnusableIdentity
from tierproof_tsa.identity import Identity, Making, load_or_create

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
MAKING = Making(name="a test's authority", days=30, at=NOON)


def identity_in(folder: Path, making: Making = MAKING) -> Identity:
    return load_or_create(folder / "key.pem", folder / "certificate.pem", making)


def test_the_first_start_makes_both_and_later_ones_keep_them(tmp_path: Path) -> None:
    first = identity_in(tmp_path)
    again = identity_in(tmp_path, Making(name="another name", days=1, at=NOON))
    assert again.certificate == first.certificate
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["certificate.pem", "key.pem"]


def test_the_certificate_is_for_time_stamping_alone(tmp_path: Path) -> None:
    certificate = identity_in(tmp_path).certificate
    purpose = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    assert purpose.critical
    assert list(purpose.value) == [ExtendedKeyUsageOID.TIME_STAMPING]
    assert not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert certificate.issuer == certificate.subject
    certificate.verify_directly_issued_by(certificate)


def test_it_speaks_only_while_the_certificate_is_valid(tmp_path: Path) -> None:
    identity = identity_in(tmp_path)
    identity.require_valid(NOON)
    identity.require_valid(NOON + timedelta(days=30))
    for wrong in (NOON - timedelta(hours=1), NOON + timedelta(days=31)):
        with pytest.raises(UnusableIdentity, match="valid from 2026-03-01 to 2026-03-31"):
            identity.require_valid(wrong)


def test_a_certificate_without_its_key_is_not_given_another_key(tmp_path: Path) -> None:
    identity_in(tmp_path)
    (tmp_path / "key.pem").unlink()
    with pytest.raises(UnusableIdentity, match="restore the key"):
        identity_in(tmp_path)
    assert not (tmp_path / "key.pem").exists()


def test_a_certificate_of_another_key_is_refused(tmp_path: Path) -> None:
    identity_in(tmp_path)
    identity_in(tmp_path / "other")
    (tmp_path / "other" / "certificate.pem").replace(tmp_path / "certificate.pem")
    with pytest.raises(UnusableIdentity, match="belongs to another key"):
        identity_in(tmp_path)


def test_a_key_that_others_may_read_is_refused(tmp_path: Path) -> None:
    identity_in(tmp_path)
    (tmp_path / "key.pem").chmod(0o640)
    with pytest.raises(UnusableIdentity, match="chmod 600"):
        identity_in(tmp_path)


@pytest.mark.parametrize("key", [ed25519.Ed25519PrivateKey.generate(), ec.generate_private_key(ec.SECP384R1())])
def test_a_key_of_another_kind_is_refused(
    tmp_path: Path, key: ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey
) -> None:
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "key.pem").touch(0o600)
    (tmp_path / "key.pem").write_bytes(pem)
    with pytest.raises(UnusableIdentity, match="P-256"):
        identity_in(tmp_path)


@pytest.mark.parametrize("which", ["key.pem", "certificate.pem"])
def test_words_that_are_no_pem_are_named(tmp_path: Path, which: str) -> None:
    identity_in(tmp_path)
    (tmp_path / which).write_text("nothing")
    with pytest.raises(UnusableIdentity, match=which):
        identity_in(tmp_path)


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UnusableIdentity, match="file"):
        identity_in(tmp_path / "file")


@pytest.mark.parametrize(
    ("critical", "purposes"),
    [
        (False, [ExtendedKeyUsageOID.TIME_STAMPING]),
        (True, [ExtendedKeyUsageOID.SERVER_AUTH]),
        (True, [ExtendedKeyUsageOID.TIME_STAMPING, ExtendedKeyUsageOID.SERVER_AUTH]),
        (True, []),
    ],
)
def test_a_certificate_of_somebody_else_must_be_for_time_stamping_alone(
    tmp_path: Path, *, critical: bool, purposes: list[x509.ObjectIdentifier]
) -> None:
    key = identity_in(tmp_path).key
    name = x509.Name([])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(7).not_valid_before(NOON).not_valid_after(NOON + timedelta(days=1))
    if purposes:
        builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), critical=critical)
    (tmp_path / "certificate.pem").write_bytes(builder.sign(key, SHA256()).public_bytes(Encoding.PEM))
    with pytest.raises(UnusableIdentity, match="extended key usage"):
        identity_in(tmp_path)


def test_the_key_is_not_shown(tmp_path: Path) -> None:
    assert "key" not in repr(identity_in(tmp_path)).lower().replace("keyusage", "")
