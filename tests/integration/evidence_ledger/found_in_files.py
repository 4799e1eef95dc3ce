"""What bytes are in files, in whatever form they may have come there."""

import base64
from collections.abc import Iterable, Mapping
from pathlib import Path

WINDOW = 8  # PostgreSQL's compression (pglz) puts a byte of its own before every eight


def forms_of(secret: bytes) -> list[bytes]:
    """Return the byte strings by which a secret is found: in clear, hex, base64, and as UTF-16 where it is text.

    Base64 is searched at each of its three alignments, without the letters that neighbours share.
    """
    found = [secret, secret.hex().encode(), secret.hex().upper().encode()]
    for shift in range(3):
        whole = base64.b64encode(bytes(shift) + secret)
        found.append(whole[shift and shift + 1 : len(whole) // 4 * 4 - 4])
    return found


def forms_of_text(text: str) -> list[bytes]:
    """Return the same for a text, compressed ones included: some eight letters stand beside each other even there."""
    plain = text.encode()
    windows = [plain[at : at + WINDOW] for at in range(len(plain) - WINDOW + 1)]
    return [*forms_of(plain)[1:], text.encode("utf-16-le"), text.encode("utf-16-be"), *windows]


def places_of(secrets: Mapping[str, Iterable[bytes]], folder: Path) -> dict[str, set[str]]:
    """Return for each secret the files that hold it, relative to a folder that is searched whole."""
    found: dict[str, set[str]] = {name: set() for name in secrets}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        content = path.read_bytes()
        content = content[: len(content.rstrip(b"\0")) + WINDOW]  # segments of a log are padded
        for name, forms in secrets.items():
            if any(form in content for form in forms):
                found[name].add(str(path.relative_to(folder)))
    return found
