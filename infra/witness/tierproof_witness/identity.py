"""Keys and store belong together: they are made together, and keys without their store are refused."""

from dataclasses import dataclass
from pathlib import Path

from tierproof_proofs.cosignature import Cosigner
from tierproof_proofs.errors import ProofError
from tierproof_proofs.keys import load_or_create_key, load_or_create_mldsa44_key
from tierproof_proofs.note import refuse_bad_name

from tierproof_witness.errors import MemoryLost, NotConfigured
from tierproof_witness.settings import PREFIX, WitnessSettings
from tierproof_witness.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """The witness's two keys and its store."""

    key: Path
    mldsa_key: Path
    store: Path

    @classmethod
    def of(cls, settings: WitnessSettings) -> "Files":
        """Return the files that the settings name; raises NotConfigured."""
        return cls(
            key=settings.path("key_file"),
            mldsa_key=settings.path("mldsa_key_file"),
            store=settings.path("store_file"),
        )


def establish(name: str, files: Files, *, busy_seconds: float) -> tuple[Cosigner, Cosigner]:
    """Return the cosigners, Ed25519 and ML-DSA-44; the first call makes store and keys.

    The store is made before the keys, so a crash between the two leaves a store without keys, which is harmless.
    Raises MemoryLost for keys without a store, NotConfigured for a bad name, StoreUnusable, UnusableKey.
    """
    try:
        refuse_bad_name(name)
    except ProofError:
        raise NotConfigured(f"{PREFIX}NAME: a name without spaces and plus signs is needed") from None
    made = [path for path in (files.key, files.mldsa_key) if path.exists()]
    if made and not files.store.exists():
        raise MemoryLost(
            f"{files.store} is gone and {made[0]} is there: bring the store back, or retire both keys and take a new name"
        )
    Store(files.store, busy_seconds=busy_seconds).close()
    return (
        Cosigner(name=name, signer=load_or_create_key(files.key)),
        Cosigner(name=name, signer=load_or_create_mldsa44_key(files.mldsa_key)),
    )
