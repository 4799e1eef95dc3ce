"""The adapters that the manifest pins, taken from the fleet folder into the state folder: only whole, signed and as pinned.

A delivered adapter is a folder: weights, configuration, the lock that gave it, and signed SLSA provenance whose subjects are the files.
"""

import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from tierproof_contracts.documents import FleetManifest, RoutingPolicy
from tierproof_contracts.inference import AdapterPin
from tierproof_proofs import digests
from tierproof_proofs.errors import ProofError
from tierproof_proofs.keys import Ed25519Verifier
from tierproof_proofs.statements import SLSA_PROVENANCE, verify_statement

from tierproof_embedded.errors import BadDocument

WEIGHTS, CONFIG, HEADS, PROVENANCE, SIGNERS = (
    "adapter_model.safetensors",
    "adapter_config.json",
    "heads.safetensors",
    "provenance.dsse.json",
    "signers.json",
)


def install(manifest: FleetManifest, delivered: Path, into: Path) -> None:
    """Copy each pinned adapter, and the triage model's heads, below `into`, named as in its pin.

    Raises BadDocument, naming adapter, file and mend.
    """
    wanted: list[tuple[str, AdapterPin, tuple[str, ...]]] = [
        (f"adapters.{name}", pin, (WEIGHTS, CONFIG)) for name, pin in manifest.adapters.items()
    ]
    if manifest.triage is not None and manifest.triage.heads is not None:
        wanted.append(("triage.heads", manifest.triage.heads, (HEADS,)))
    if not wanted:
        return
    trusted = _signers(delivered / SIGNERS)
    into.mkdir(parents=True, exist_ok=True)
    for name, pin, files in wanted:
        found = into / pin.name
        if _digest_of(found / files[0]) != pin.digest or not all((found / file).is_file() for file in files):
            _take(name, pin, delivered / pin.name, found, files, trusted)


def refuse_unknown(policy: RoutingPolicy, manifest: FleetManifest, path: Path) -> None:
    """Raise BadDocument when the policy names an adapter that the manifest does not pin."""
    for kind, rules in policy.kinds.items():
        for tier, name in rules.adapters.items():
            if name not in manifest.adapters:
                why = (
                    f"kinds.{kind}.adapters.{tier} names {name!r}, which the fleet manifest does not pin; add it there"
                )
                raise BadDocument(path=path, why=why)


def _take(
    name: str,
    pin: AdapterPin,
    source: Path,
    into: Path,
    files: tuple[str, ...],
    trusted: Mapping[str, Ed25519Verifier],
) -> None:
    if (digest := _digest_of(source / files[0])) != pin.digest:
        why = f"{name}: the manifest pins {pin.digest}, the file has {digest or 'no bytes'}; deliver that one, or sign its digest"
        raise BadDocument(path=source / files[0], why=why)
    for file, stated in _stated(name, source / PROVENANCE, files, trusted).items():
        if _digest_of(source / file) != stated:
            why = f"{name}: not the file that its provenance speaks of; deliver the adapter whole"
            raise BadDocument(path=source / file, why=why)
    with tempfile.TemporaryDirectory(dir=into.parent, prefix=".adapter-") as scratch:
        fresh = Path(scratch) / "adapter"
        fresh.mkdir()
        for file in files:
            shutil.copyfile(source / file, fresh / file)
        shutil.rmtree(into, ignore_errors=True)
        fresh.rename(into)


def _stated(name: str, path: Path, files: tuple[str, ...], trusted: Mapping[str, Ed25519Verifier]) -> Mapping[str, str]:
    """Return the files that signed provenance speaks of; the named ones must be among them."""
    try:
        said = verify_statement(json.loads(path.read_text()), trusted, SLSA_PROVENANCE)
    except (OSError, ValueError) as error:
        raise BadDocument(path=path, why=f"{name}: no provenance ({error}); deliver the adapter whole") from None
    except ProofError as error:
        why = f"{name}: {error.diagnosis()}; name its signer in {SIGNERS}, or take another adapter"
        raise BadDocument(path=path, why=why) from None
    if not set(files) <= said.subjects.keys():
        raise BadDocument(path=path, why=f"{name}: it speaks of no {' with '.join(files)}")
    return said.subjects


def _signers(path: Path) -> dict[str, Ed25519Verifier]:
    try:
        return {name: Ed25519Verifier.from_base64(key) for name, key in json.loads(path.read_text()).items()}
    except (OSError, ValueError, AttributeError, ProofError) as error:
        raise BadDocument(path=path, why=f'give {{"name": "<raw Ed25519 key, base64>"}} ({error})') from None


def _digest_of(path: Path) -> str:
    """Return a file's digest, or an empty text where there is none."""
    try:
        return digests.of_file(path)
    except OSError:
        return ""
