"""Signed notes and verifier keys (c2sp.org/signed-note)."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PublicKey

from tierproof_proofs.encoding import base64_of, bytes_of_base64
from tierproof_proofs.errors import Malformed, NotVerified
from tierproof_proofs.keys import Ed25519Signer, Ed25519Verifier, Signer

ED25519, ED25519_COSIGNATURE, MLDSA44_COSIGNATURE = 0x01, 0x04, 0x06
KEY_SIZES = {ED25519: 32, ED25519_COSIGNATURE: 32, MLDSA44_COSIGNATURE: 1312}
MOST_SIGNATURES = 100
KEY_ID_SIZE = 4
LINE_START = "\N{EM DASH} "
PRIVATE_START = "PRIVATE+KEY+"
_HEX_ID = re.compile(r"[0-9a-f]{8}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifierKey:
    """A named public key; `algorithm` is the signature type byte of its vkey form."""

    name: str
    algorithm: int
    public_key: bytes

    def __post_init__(self) -> None:
        refuse_bad_name(self.name)
        if KEY_SIZES.get(self.algorithm) != len(self.public_key):
            raise Malformed(f"key {self.name}: unknown type, or a key of the wrong length")

    @property
    def key_id(self) -> bytes:
        """The four bytes before each signature."""
        return key_id_of(self.name, self.algorithm, self.public_key)

    @property
    def label(self) -> str:
        """Name and key id, as a reader writes them."""
        return f"{self.name}+{self.key_id.hex()}"

    def __str__(self) -> str:
        return f"{self.label}+{base64_of(bytes([self.algorithm]) + self.public_key)}"

    def verify(self, message: bytes, signature: bytes) -> bool:
        """Tell whether this key made a raw signature of a message."""
        if self.algorithm != MLDSA44_COSIGNATURE:
            return Ed25519Verifier(self.public_key).verify(message, signature)
        try:
            MLDSA44PublicKey.from_public_bytes(self.public_key).verify(signature, message)
        except (InvalidSignature, ValueError):
            return False
        return True


@dataclass(frozen=True, slots=True, kw_only=True)
class SignatureLine:
    """One line below a note's text; `signature` without the key id."""

    name: str
    key_id: bytes
    signature: bytes

    def __post_init__(self) -> None:
        refuse_bad_name(self.name)

    def __str__(self) -> str:
        return f"{LINE_START}{self.name} {base64_of(self.key_id + self.signature)}\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """A note as it was read: nothing about it is verified. `text` ends in a newline."""

    text: str
    signatures: tuple[SignatureLine, ...]

    def __str__(self) -> str:
        return f"{self.text}\n{''.join(map(str, self.signatures))}"


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedNote:
    """A note that at least one known key has signed; lines of unknown keys are kept apart."""

    text: str
    verified: tuple[SignatureLine, ...]
    unverified: tuple[SignatureLine, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class NoteSigner:
    """A name and the Ed25519 signer that signs notes under it."""

    name: str
    signer: Signer

    @property
    def verifier_key(self) -> VerifierKey:
        """The public half, whose text form is the vkey."""
        return VerifierKey(name=self.name, algorithm=ED25519, public_key=self.signer.public_key)

    def sign(self, text: str) -> SignatureLine:
        """Return this signer's line for a text."""
        return SignatureLine(name=self.name, key_id=self.verifier_key.key_id, signature=self.signer.sign(text.encode()))


def refuse_bad_name(name: str) -> None:
    """Raise Malformed for a name that is empty or holds a space, a plus sign or half a character."""
    if not name or "+" in name or any(character.isspace() for character in name) or not _is_unicode(name):
        raise Malformed("a key's name must not be empty nor hold spaces or plus signs")


def key_id_of(name: str, algorithm: int, public_key: bytes) -> bytes:
    """Return the four bytes that stand before a key's signatures."""
    return sha256(name.encode() + b"\n" + bytes([algorithm]) + public_key).digest()[:KEY_ID_SIZE]


def parse_vkey(text: str) -> VerifierKey:
    """Read `name+<key id>+<base64 of type and key>`; raises Malformed, also when the key id is not the key's."""
    name, key_id, material = _split_key(text, "verifier key")
    key = VerifierKey(name=name, algorithm=material[0], public_key=material[1:])
    if key.key_id != key_id:
        raise Malformed(f"verifier key {key.name}: the key id is not that of the key")
    return key


def parse_skey(text: str) -> NoteSigner:
    """Read `PRIVATE+KEY+name+<key id>+<base64 of type and seed>`, Ed25519 only; raises Malformed."""
    if not text.startswith(PRIVATE_START):
        raise Malformed("signer key: does not start as one")
    name, key_id, material = _split_key(text.removeprefix(PRIVATE_START), "signer key")
    if material[0] != ED25519:
        raise Malformed("signer key: not Ed25519")
    signer = NoteSigner(name=name, signer=Ed25519Signer.from_seed(material[1:]))
    if signer.verifier_key.key_id != key_id:
        raise Malformed(f"signer key {name}: the key id is not that of the key")
    return signer


def parse_note(content: bytes) -> Note:
    """Split a note into its text and signature lines; raises Malformed."""
    try:
        message = content.decode()
    except UnicodeDecodeError:
        raise Malformed("note: not UTF-8") from None
    if any(character < " " and character != "\n" for character in message):
        raise Malformed("note: holds control characters")
    text, separator, lines = message.rpartition("\n\n")
    if not separator or not lines.endswith("\n"):
        raise Malformed("note: an empty line and whole signature lines must follow the text")
    found = lines[:-1].split("\n")
    if len(found) > MOST_SIGNATURES:
        raise Malformed(f"note: more than {MOST_SIGNATURES} signatures")
    return Note(text=text + "\n", signatures=tuple(map(parse_line, found)))


def parse_line(line: str) -> SignatureLine:
    """Read one signature line without its newline; raises Malformed."""
    name, separator, encoded = line.removeprefix(LINE_START).partition(" ")
    if not line.startswith(LINE_START) or not separator:
        raise Malformed("note: a line below the text is no signature")
    raw = bytes_of_base64(encoded, "signature")
    if len(raw) <= KEY_ID_SIZE:
        raise Malformed("note: a signature is too short")
    return SignatureLine(name=name, key_id=raw[:KEY_ID_SIZE], signature=raw[KEY_ID_SIZE:])


def key_for(line: SignatureLine, known: Iterable[VerifierKey]) -> VerifierKey | None:
    """Return the known key of a line, None for an unknown one; raises NotVerified when two keys fit."""
    fitting = [key for key in known if (key.name, key.key_id) == (line.name, line.key_id)]
    if len(fitting) > 1:
        raise NotVerified(f"key {fitting[0].label} is known twice")
    return fitting[0] if fitting else None


def open_note(content: bytes, known: Sequence[VerifierKey]) -> OpenedNote:
    """Verify a note against known Ed25519 note keys.

    Unknown signatures are ignored; a wrong one of a known key refuses the note. Raises Malformed or NotVerified.
    """
    note = parse_note(content)
    verified: dict[bytes, SignatureLine] = {}
    unverified: dict[SignatureLine, None] = {}
    message = note.text.encode()
    for line in note.signatures:
        key = key_for(line, [known_key for known_key in known if known_key.algorithm == ED25519])
        if key is None:
            unverified[line] = None
        elif key.key_id not in verified:
            if not key.verify(message, line.signature):
                raise NotVerified(f"the signature of {key.label} is wrong")
            verified[key.key_id] = line
    if not verified:
        raise NotVerified("no known key has signed this note")
    return OpenedNote(text=note.text, verified=tuple(verified.values()), unverified=tuple(unverified))


def sign_note(text: str, signers: Sequence[NoteSigner], existing: Sequence[SignatureLine] = ()) -> str:
    """Return the note with signatures; existing lines stay before new ones, those of the same keys are replaced.

    Raises Malformed for a text that no reader would accept.
    """
    if not text.endswith("\n") or any(character < " " and character != "\n" for character in text):
        raise Malformed("note: the text must end in a newline and hold no control characters")
    replaced = {(signer.name, signer.verifier_key.key_id) for signer in signers}
    kept = [line for line in existing if (line.name, line.key_id) not in replaced]
    return str(Note(text=text, signatures=(*kept, *(signer.sign(text) for signer in signers))))


def _split_key(text: str, what: str) -> tuple[str, bytes, bytes]:
    name, _, rest = text.partition("+")
    key_id, separator, encoded = rest.partition("+")
    if not separator or _HEX_ID.fullmatch(key_id) is None:
        raise Malformed(f"{what}: not name, key id and key joined by plus signs")
    refuse_bad_name(name)
    material = bytes_of_base64(encoded, what)
    if not material:
        raise Malformed(f"{what}: no key in it")
    return name, bytes.fromhex(key_id), material


def _is_unicode(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)
