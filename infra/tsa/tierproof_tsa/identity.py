"""Who signs: an ECDSA P-256 key and its self-signed certificate, made at the first start, both readable by their owner alone."""

import os
import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tierproof_tsa.errors import UnusableIdentity

OWNER_ONLY = 0o600
OTHERS = 0o077


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """The authority's key and certificate."""

    key: ec.EllipticCurvePrivateKey = field(repr=False)
    certificate: x509.Certificate

    def sign(self, message: bytes) -> bytes:
        """Return the DER ECDSA signature over SHA-256."""
        return self.key.sign(message, ec.ECDSA(SHA256()))

    def require_valid(self, at: datetime) -> None:
        """Raise UnusableIdentity when the certificate is not valid at a time."""
        first, last = self.certificate.not_valid_before_utc, self.certificate.not_valid_after_utc
        if not first <= at <= last:
            raise UnusableIdentity(
                f"the certificate is valid from {first:%Y-%m-%d} to {last:%Y-%m-%d}, the clock says {at:%Y-%m-%d}: set the "
                "clock, or move key and certificate away so that new ones are made, and give the new certificate out"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Making:
    """What a new certificate says: its name, and for how many days from `at` it is valid."""

    name: str
    days: int
    at: datetime


def load_or_create(key_file: Path, certificate_file: Path, making: Making) -> Identity:
    """Return key and certificate of two files; what is missing is made. Raises UnusableIdentity.

    A certificate without its key is refused: a new key under the old certificate would verify nowhere.
    """
    if certificate_file.exists() and not key_file.exists():
        raise UnusableIdentity(
            f"{certificate_file} is there, its key {key_file} is not: restore the key, or move both away"
        )
    try:
        if not key_file.exists():
            key = ec.generate_private_key(ec.SECP256R1())
            _write(key_file, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        key = _load_key(key_file)
        if not certificate_file.exists():
            _write(certificate_file, self_signed(key, making).public_bytes(Encoding.PEM))
        certificate = _load_certificate(certificate_file)
    except OSError as error:
        raise UnusableIdentity(f"{error.filename}: {error.strerror}") from None
    if certificate.public_key() != key.public_key():
        raise UnusableIdentity(f"{certificate_file} belongs to another key than {key_file}")
    require_for_stamping(certificate, certificate_file)
    return Identity(key=key, certificate=certificate)


def self_signed(key: ec.EllipticCurvePrivateKey, making: Making) -> x509.Certificate:
    """Return a certificate for time-stamping and nothing else (RFC 3161 section 2.3)."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, making.name)])
    usage = x509.KeyUsage(
        digital_signature=True,
        content_commitment=True,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(making.at - timedelta(minutes=5))  # a reader's clock may be behind ours
        .not_valid_after(making.at + timedelta(days=making.days))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING]), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, SHA256())
    )


def require_for_stamping(certificate: x509.Certificate, file: Path) -> None:
    """Raise UnusableIdentity unless the certificate is for time-stamping alone, and says so critically."""
    try:
        purpose = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    except x509.ExtensionNotFound:
        raise UnusableIdentity(f"{file}: the certificate names no extended key usage") from None
    if not purpose.critical or list(purpose.value) != [ExtendedKeyUsageOID.TIME_STAMPING]:
        raise UnusableIdentity(f"{file}: the extended key usage is not timeStamping alone, marked critical")


def _load_key(path: Path) -> ec.EllipticCurvePrivateKey:
    if path.stat().st_mode & OTHERS:
        raise UnusableIdentity(f"{path}: others may read this key; chmod 600 it, or make a new one")
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except (ValueError, TypeError):
        raise UnusableIdentity(f"{path}: not an unencrypted PKCS#8 key") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise UnusableIdentity(f"{path}: not an ECDSA P-256 key")
    return key


def _load_certificate(path: Path) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except ValueError:
        raise UnusableIdentity(f"{path}: not a PEM certificate") from None


def _write(path: Path, content: bytes) -> None:
    """Write a file of the owner's whole or not at all; one that another process made meanwhile stays."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWNER_ONLY)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(draft, path)
        except FileExistsError:
            return
    finally:
        draft.unlink()
