"""Where a signing key is: in a file, or in a PKCS#11 token."""

from pathlib import Path

from tierproof_proofs.keys import Signer, load_or_create_key

from tierproof_evidence_ledger.errors import NotConfigured
from tierproof_evidence_ledger.pkcs11_uri import is_uri, parse_uri


def signer_at(where: str | Path) -> Signer:
    """Return the Ed25519 signer of a key file, made at the first call, or of a `pkcs11:` URI, where it must be already.

    Raises UnusableKey (file), NotConfigured (URI, or the extra `pkcs11` is not installed) and TokenUnusable.
    """
    if not is_uri(str(where)):
        return load_or_create_key(Path(where))
    place = parse_uri(str(where))
    try:
        from tierproof_evidence_ledger.pkcs11 import Pkcs11Signer  # noqa: PLC0415 - an extra that few installations need
    except ModuleNotFoundError as missing:
        raise NotConfigured(
            f"a PKCS#11 URI needs {missing.name}: install tierproof-evidence-ledger with the extra pkcs11"
        ) from None
    return Pkcs11Signer(place)
