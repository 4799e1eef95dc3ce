"""The witness as a part of a stack: its own process, keys and memory. It stands for one of somebody else, which proves more."""

import contextlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from tierproof_proofs.checkpoint import parse_checkpoint
from tierproof_proofs.errors import ProofError
from tierproof_proofs.note import ED25519, VerifierKey, parse_note
from tierproof_proofs.policy import policy_of
from tierproof_proofs.trust import Trust
from tierproof_witness.errors import WitnessError
from tierproof_witness.identity import Files, establish
from tierproof_witness.settings import PREFIX, WitnessSettings
from tierproof_witness.store import Store

from tierproof_embedded import log_keys, ports
from tierproof_embedded.endpoints import Endpoints
from tierproof_embedded.errors import StepFailed
from tierproof_embedded.layout import Layout
from tierproof_embedded.nats_server import answers_ok
from tierproof_embedded.ports import write_whole
from tierproof_embedded.process import Command
from tierproof_embedded.services import OURS
from tierproof_embedded.settings import EmbeddedSettings
from tierproof_embedded.supervisor import Part

WITNESS = "witness"
QUORUM = 1  # there is one witness here, and it must have signed


def files(layout: Layout) -> Files:
    """Return the witness's keys and its memory."""
    return Files(
        key=layout.keys / "witness.pem",
        mldsa_key=layout.keys / "witness-mldsa.pem",
        store=layout.witness / "cosigned.sqlite",
    )


def logs_file(layout: Layout) -> Path:
    """Return the file of the log keys that the witness accepts."""
    return layout.witness / "logs"


def policy_file(layout: Layout) -> Path:
    """Return the file that tells the ledger who its witnesses are and where (c2sp.org/tlog-policy)."""
    return layout.witness / "policy"


def verifier_keys(layout: Layout, settings: EmbeddedSettings) -> tuple[VerifierKey, ...]:
    """Return the witness's keys for the trust file; keys and memory are made at the first call. Raises StepFailed."""
    try:
        made = establish(settings.witness_name, files(layout), busy_seconds=WitnessSettings().busy_seconds)
    except (WitnessError, ProofError) as error:
        raise StepFailed(step="taking the witness's keys", said=error.diagnosis()) from error
    return tuple(cosigner.verifier_key for cosigner in made)


def cosigned_size(layout: Layout, settings: EmbeddedSettings) -> int | None:
    """Return how many of the ledger's entries the witness has cosigned, None before its first start. Raises StepFailed."""
    if not files(layout).key.exists():
        return None
    verifier_keys(layout, settings)
    try:
        with contextlib.closing(Store(files(layout).store, busy_seconds=WitnessSettings().busy_seconds)) as store:
            note = store.note_of(settings.log_name)
        return 0 if note is None else parse_checkpoint(parse_note(note.encode()).text).size
    except (WitnessError, ProofError) as error:
        raise StepFailed(step="asking what the witness remembers", said=error.diagnosis()) from error


def write_policy(layout: Layout, endpoints: Endpoints) -> None:
    """Tell witness and ledger of each other: the log's keys, the coming one as well, and the witness's keys and place."""
    trust = Trust.from_json(layout.trust.read_bytes())
    known = [*(each.key for each in trust.log_keys), *log_keys.to_learn(layout, trust.origin)]
    write_whole(logs_file(layout), "".join(f"{key}\n" for key in known))
    write_whole(policy_file(layout), policy_text(trust, known, endpoints.witness_url))


def policy_text(trust: Trust, known: Sequence[VerifierKey], url: str) -> str:
    """Return the policy file (c2sp.org/tlog-policy) of a log with these keys, whose witnesses are all at one URL."""
    urls = {key.name: url for key in trust.witnesses}
    signing = [key for key in known if key.algorithm == ED25519]
    return str(policy_of(signing, trust.witnesses, trust.quorum, urls))


def witness_part(layout: Layout, settings: EmbeddedSettings, endpoints: Endpoints) -> Part:
    """Return the witness as a part."""
    port = endpoints.ports[WITNESS]

    def command() -> Command:
        ports.require_free({WITNESS: port})
        tuning = {name: value for name, value in os.environ.items() if name.startswith((PREFIX, f"{OURS}LOG_LEVEL"))}
        own = {
            "NAME": settings.witness_name,
            "HTTP_HOST": ports.LOOPBACK,
            "HTTP_PORT": str(port),
            "KEY_FILE": str(files(layout).key),
            "MLDSA_KEY_FILE": str(files(layout).mldsa_key),
            "STORE_FILE": str(files(layout).store),
            "LOGS_FILE": str(logs_file(layout)),
        }
        environment = tuning | {f"{PREFIX}{name}": value for name, value in own.items()} | {"PYTHONUNBUFFERED": "1"}
        return Command(argv=(sys.executable, "-m", "tierproof_witness", "serve"), environment=environment)

    def healthy() -> bool:
        return answers_ok(port, "/healthz")

    return Part(name=WITNESS, command=command, ready=healthy, alive=healthy)
