"""Documents that steer, signed with the key of this state folder. Production signs them with a key service instead."""

import importlib.resources
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError
from tierproof_bus.documents import PAYLOAD_TYPE
from tierproof_contracts.canonical import canonical_json
from tierproof_contracts.documents import AnyDocument, Document, DocumentName, Steering
from tierproof_contracts.errors import explain_validation
from tierproof_proofs.dsse import sign_envelope
from tierproof_proofs.keys import Signer

from tierproof_embedded.errors import BadDocument
from tierproof_embedded.ports import write_whole

_ANY: TypeAdapter[Steering] = TypeAdapter(AnyDocument)
_REPOSITORY = Path(__file__).resolve().parents[2] / "fleet"


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedDocument:
    """A document as it was signed: its envelope lies in `path`. `fresh` when this digest was never signed here before."""

    name: DocumentName
    digest: str
    path: Path
    fresh: bool


def fleet_folder() -> Path:
    """Return the folder of the unsigned documents: the one in the wheel, else the repository's `infra/fleet`."""
    packed = Path(str(importlib.resources.files("tierproof_embedded"))) / "fleet"
    return packed if packed.is_dir() else _REPOSITORY


def read_document(path: Path) -> Steering:
    """Read and validate one document; raises BadDocument."""
    try:
        return _ANY.validate_json(path.read_bytes())
    except OSError as error:
        raise BadDocument(path=path, why=error.strerror or type(error).__name__) from None
    except ValidationError as error:
        raise BadDocument(path=path, why=explain_validation(error)) from None


def sign(documents: Iterable[Steering], signer: Signer, folder: Path) -> list[SignedDocument]:
    """Sign each document and keep its envelope in `folder`, named by document and digest. The same document gives the same file."""
    return [_signed(document, signer, folder) for document in documents]


def _signed(document: Steering, signer: Signer, folder: Path) -> SignedDocument:
    digest = document.digest()
    path = folder / f"{document.document}.{digest.replace(':', '-')}.json"
    envelope = json.dumps(sign_envelope(PAYLOAD_TYPE, payload_of(document), [signer]), indent=2) + "\n"
    fresh = not path.exists() or path.read_text() != envelope
    if fresh:
        write_whole(path, envelope)
    return SignedDocument(name=document.document, digest=digest, path=path, fresh=fresh)


def payload_of(document: Document) -> bytes:
    """Return a document's canonical JSON: what is signed, and what its digest is of."""
    return canonical_json(document.model_dump(mode="json", exclude_none=True))
