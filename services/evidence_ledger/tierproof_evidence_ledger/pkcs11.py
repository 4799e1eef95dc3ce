"""The log's key in a PKCS#11 token: an HSM, or SoftHSM for a rehearsal. The private key never leaves it.

Ed25519 by CKM_EDDSA without parameters (PKCS#11 3.0, section 2.3.14). SoftHSM 2.6.1 knows no ML-DSA: that key stays a file.
"""

import contextlib
import secrets
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pkcs11
from pkcs11 import Attribute, KeyType, Mechanism, Object, ObjectClass, PKCS11Error, Session, SignMixin, Token
from tierproof_proofs.keys import OTHERS, PUBLIC_KEY_SIZE, Ed25519Verifier, key_id_of

from tierproof_evidence_ledger.errors import LedgerError
from tierproof_evidence_ledger.pkcs11_uri import TokenKey

# The module is initialised without locks of its own (C_Initialize with NULL), so that threads may not meet in it: PKCS#11 2.40, 5.4.
IN_THE_MODULE: Final = threading.Lock()
# What a public Edwards point may be wrapped in: an OCTET STRING, a BIT STRING, nothing. The versions of PKCS#11 differ.
WRAPPERS: Final = (b"\x04\x20", b"\x03\x21\x00", b"")
# Words that no checkpoint starts with, so that the signature of the rehearsal means nothing elsewhere.
REHEARSAL: Final = b"tierproof: does this token sign? "


class TokenUnusable(LedgerError):
    """A token, its module, its PIN or its key cannot be used; the words say which, and what mends it."""


@dataclass(frozen=True, slots=True)
class _Opened:
    """A session that is logged in, and the key in it."""

    session: Session = field(repr=False)
    key: SignMixin = field(repr=False)
    public_key: bytes


class Pkcs11Signer:
    """An Ed25519 key in a token. For several threads; a lost session is opened again, once per signature.

    Opening proves that the key signs and that the public key beside it is its own. Raises TokenUnusable.
    """

    algorithm = "ed25519"
    __slots__ = ("_opened", "_verifier", "_where", "key_id", "public_key")

    def __init__(self, where: TokenKey) -> None:
        self._where = where
        with IN_THE_MODULE:
            self._opened = _opened(where)
        self.public_key = self._opened.public_key
        self.key_id = key_id_of(self.public_key)
        self._verifier = Ed25519Verifier(self.public_key)
        self.sign(REHEARSAL + secrets.token_bytes(PUBLIC_KEY_SIZE))

    def sign(self, message: bytes) -> bytes:
        """Return the 64-byte signature, verified; raises TokenUnusable when the token does not give one, asked twice."""
        with IN_THE_MODULE:
            try:
                signature = _signed(self._opened, message)
            except PKCS11Error:
                self._open_again()
                signature = self._signed_at_last(message)
        if not self._verifier.verify(message, signature):
            raise TokenUnusable(
                f"{self._where}: signs with another key than the public one beside it; is the token damaged?"
            )
        return signature

    def close(self) -> None:
        """Log out and close the session. What else uses this token in this process has to log in again, and does."""
        with IN_THE_MODULE:
            _let_go(self._opened.session)

    def _open_again(self) -> None:
        _let_go(self._opened.session)
        opened = _opened(self._where)
        if opened.public_key != self.public_key:
            raise TokenUnusable(f"{self._where}: the token came back with another key; start anew if that is meant")
        self._opened = opened

    def _signed_at_last(self, message: bytes) -> bytes:
        try:
            return _signed(self._opened, message)
        except PKCS11Error as error:
            raise TokenUnusable(f"{self._where}: does not sign: {_words(error)}") from None


def _signed(opened: _Opened, message: bytes) -> bytes:
    return bytes(opened.key.sign(message, mechanism=Mechanism.EDDSA))


def _let_go(session: Session) -> None:
    with contextlib.suppress(PKCS11Error):
        session.close()


def _opened(where: TokenKey) -> _Opened:
    pin = _pin(where.pin_file)
    try:
        session = _session(_token(where), pin)
    except pkcs11.PinLocked:
        raise TokenUnusable(f"{where}: the PIN is locked; its security officer unlocks it") from None
    except (pkcs11.PinIncorrect, pkcs11.PinInvalid, pkcs11.PinLenRange):
        raise TokenUnusable(
            f"{where}: {where.pin_file} holds another PIN; a few more wrong tries lock the token"
        ) from None
    except PKCS11Error as error:
        raise TokenUnusable(f"{where}: cannot log in: {_words(error)}") from None
    try:
        return _Opened(session, _private_key(session, where), _public_key(session, where))
    except PKCS11Error as error:
        _let_go(session)
        raise TokenUnusable(f"{where}: cannot be read: {_words(error)}") from None
    except TokenUnusable:
        _let_go(session)
        raise


def _pin(path: Path) -> str:
    try:
        if path.stat().st_mode & OTHERS:
            raise TokenUnusable(f"{path}: others may read this PIN; chmod 600 it")
        pin = path.read_text().rstrip("\r\n")
    except OSError as error:
        raise TokenUnusable(f"PIN file {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise TokenUnusable(f"PIN file {path}: not UTF-8") from None
    if not pin:
        raise TokenUnusable(f"PIN file {path}: empty")
    return pin


def _token(where: TokenKey) -> Token:
    try:
        module = pkcs11.lib(str(where.module))
        found = [
            token
            for token in module.get_tokens(token_label=where.token)
            if where.serial is None or token.serial.rstrip() == where.serial.rstrip()
        ]
    except PKCS11Error as error:
        raise TokenUnusable(f"{where.module}: not a PKCS#11 module that works here: {_words(error)}") from None
    if len(found) != 1:
        raise TokenUnusable(
            f"{where}: {len(found) or 'no'} such tokens; name one that {where.module} shows, by its serial if need be"
        )
    return found[0]


def _session(token: Token, pin: str) -> Session:
    try:
        return token.open(user_pin=pin)
    except pkcs11.UserAlreadyLoggedIn:  # by another key of this process: a login is the process's, not the session's
        return token.open()


def _private_key(session: Session, where: TokenKey) -> SignMixin:
    key = _only(
        session, where, ObjectClass.PRIVATE_KEY, "private key; make one of type Ed25519, or correct object= and id="
    )
    if not isinstance(key, SignMixin) or key.key_type is not KeyType.EC_EDWARDS:
        kind = key[Attribute.KEY_TYPE]
        raise TokenUnusable(f"{where}: a key of type {getattr(kind, 'name', kind)}; the log signs with Ed25519")
    return key


def _public_key(session: Session, where: TokenKey) -> bytes:
    key = _only(session, where, ObjectClass.PUBLIC_KEY, "public key beside it; store it with the same label and id")
    return raw_point(bytes(key[Attribute.EC_POINT]))


def _only(session: Session, where: TokenKey, kind: ObjectClass, missing: str) -> Object:
    named = {Attribute.LABEL: where.label, Attribute.ID: where.id}
    wanted = {Attribute.CLASS: kind} | {name: value for name, value in named.items() if value is not None}
    found = list(session.get_objects(wanted))
    if not found:
        raise TokenUnusable(f"{where}: no {missing}")
    if len(found) > 1:
        raise TokenUnusable(f"{where}: {len(found)} objects of class {kind.name}; tell them apart by id=")
    return found[0]


def raw_point(wrapped: bytes) -> bytes:
    """Return the 32 bytes of an Ed25519 public key as CKA_EC_POINT has it; raises TokenUnusable."""
    for wrapper in WRAPPERS:
        if len(wrapped) == len(wrapper) + PUBLIC_KEY_SIZE and wrapped.startswith(wrapper):
            return wrapped[len(wrapper) :]
    raise TokenUnusable("the token's public key is not of Ed25519: another curve has been chosen for it")


def _words(error: PKCS11Error) -> str:
    """Return the error's name, as PKCS#11 calls it, with its words where there are any."""
    return ": ".join(filter(None, (type(error).__name__, str(error))))
