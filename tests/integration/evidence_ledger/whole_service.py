"""The ledger as it is run: processes of its own with a witness, a mirror, and a time-stamping authority where one is wanted."""

import asyncio
import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tierproof_embedded.ports import free_ports
from tierproof_embedded.testing import NatsServer
from tierproof_evidence_ledger.testing import AUTHOR, REVIEWER
from tierproof_proofs.cosignature import Cosigner
from tierproof_proofs.keys import Ed25519Verifier, load_or_create_key, load_or_create_mldsa44_key
from tierproof_proofs.log_key import LogKey
from tierproof_proofs.note import NoteSigner, VerifierKey
from tierproof_proofs.policy import Group, Party, Policy
from tierproof_proofs.trust import Trust
from tierproof_tsa.identity import Making, load_or_create
from tierproof_witness.identity import Files, establish

from tests.integration.evidence_ledger.ledger_database import LedgerDatabase

LOG = "ledger.example/tests"
OWN = "TIERPROOF_EVIDENCE_LEDGER_"


def log_key(path: Path) -> VerifierKey:
    """Return the public part of a log's key, made where there is none."""
    return NoteSigner(name=LOG, signer=load_or_create_key(path)).verifier_key


def environment_of(broker: NatsServer, ledger: LedgerDatabase, folder: Path) -> dict[str, str]:
    """Return what a ledger process is told: endpoints, keys, and quick times; write its trust file."""
    trust = folder / "trust.json"
    trust.write_text(
        Trust(
            log_keys=(LogKey(key=log_key(folder / "log.pem")),),
            documents={"author": Ed25519Verifier(AUTHOR.public_key)},
            reviewers={"ada": Ed25519Verifier(REVIEWER.public_key)},
        ).to_json()
    )
    own = {
        "LOG_NAME": LOG,
        "LOG_KEY": str(folder / "log.pem"),
        "TEXT_KEY_FILE": str(folder / "texts.key"),
        "SWEEP_MS": "200",
        "ANNOUNCE_MS": "100",
    }
    return {
        "TIERPROOF_NATS_URL": broker.bare_url,
        "TIERPROOF_NKEY_SEED_FILE": str(broker.seed_file("evidence-ledger")),
        "TIERPROOF_TRUST_FILE": str(trust),
        "TIERPROOF_PG_DSN": ledger.dsn("ledger_writer"),
        "TIERPROOF_PG_AUDITOR_DSN": ledger.dsn("ledger_auditor"),
        "TIERPROOF_RECONNECT_SECONDS": "0.2",
        "TIERPROOF_WATCH_SECONDS": "0.5",
        **{f"{OWN}{name}": value for name, value in own.items()},
    }


@contextlib.contextmanager
def process(module: str, environment: dict[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a service until the block ends."""
    with log.open("ab") as out:
        running = subprocess.Popen(
            [sys.executable, "-m", module, "serve"], env={**os.environ, **environment}, stdout=out, stderr=out
        )
    try:
        yield running
    finally:
        running.terminate()
        running.wait(20)


def command(environment: dict[str, str], module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command of a module to its end."""
    argv = [sys.executable, "-m", module, *arguments]
    return subprocess.run(
        argv, env={**os.environ, **environment}, capture_output=True, text=True, timeout=60, check=False
    )


def witness_beside(
    environment: dict[str, str], folder: Path, name: str, *coming: VerifierKey
) -> tuple[dict[str, str], dict[str, str]]:
    """Prepare a witness of the log, of its coming keys as well, and trust it; return what it is told, and what the ledger is told."""
    (port,), own = free_ports(1), folder / "witness"
    own.mkdir()
    before = Trust.from_json((folder / "trust.json").read_text())
    known = [*(each.key for each in before.log_keys), *coming]
    (own / "logs").write_text("".join(f"{key}\n" for key in known))
    files = Files(key=own / "w.pem", mldsa_key=own / "w-mldsa.pem", store=own / "store.sqlite")
    keys = tuple(each.verifier_key for each in establish(name, files, busy_seconds=5.0))
    places = {"STORE": files.store, "KEY": files.key, "MLDSA_KEY": files.mldsa_key, "LOGS": own / "logs"}
    told = {f"TIERPROOF_WITNESS_{which}_FILE": str(path) for which, path in places.items()}
    told |= {"TIERPROOF_WITNESS_NAME": name, "TIERPROOF_WITNESS_HTTP_PORT": str(port)}
    parties = tuple(Party(key=key, name=f"w{n}", url=f"http://127.0.0.1:{port}") for n, key in enumerate(keys))
    groups = {"any": Group(threshold=1, members=tuple(party.name for party in parties))}
    logs = tuple(Party(key=key) for key in known)
    (folder / "policy").write_text(str(Policy(logs=logs, witnesses=parties, groups=groups, quorum="any")))
    post_quantum = Cosigner(name=LOG, signer=load_or_create_mldsa44_key(folder / "log-mldsa.pem")).verifier_key
    believed = Trust(
        log_keys=(*before.log_keys, LogKey(key=post_quantum)),
        witnesses=keys,
        quorum=1,
        documents=before.documents,
        reviewers=before.reviewers,
    )
    (folder / "trust.json").write_text(believed.to_json())
    return told, environment | {
        f"{OWN}MIRROR": str(folder / "mirror"),
        f"{OWN}WITNESS_POLICY": str(folder / "policy"),
        f"{OWN}LOG_PQ_KEY_FILE": str(folder / "log-mldsa.pem"),
    }


@contextlib.contextmanager
def witnessed(environment: dict[str, str], folder: Path, name: str, *coming: VerifierKey) -> Iterator[dict[str, str]]:
    """Run a witness of the log, of its coming keys as well, and trust it; yield what the ledger is told."""
    told, known = witness_beside(environment, folder, name, *coming)
    with process("tierproof_witness", told, folder / "witness.log"):
        yield known


@contextlib.contextmanager
def stamped(environment: dict[str, str], folder: Path) -> Iterator[dict[str, str]]:
    """Run a time-stamping authority; yield what the ledger is told, which has checkpoints stamped all the time."""
    (port,) = free_ports(1)
    files = {name: folder / f"tsa.{name.lower()}" for name in ("KEY_FILE", "CERTIFICATE_FILE", "STATE_FILE")}
    making = Making(name="tests", days=1, at=datetime.now(UTC))
    load_or_create(files["KEY_FILE"], files["CERTIFICATE_FILE"], making)
    told = {f"TIERPROOF_TSA_{name}": str(path) for name, path in files.items()} | {"TIERPROOF_TSA_HTTP_PORT": str(port)}
    with process("tierproof_tsa", told, folder / "tsa.log"):
        yield environment | {
            f"{OWN}TSA_URL": f"http://127.0.0.1:{port}/",
            f"{OWN}TSA_CERTIFICATES": str(files["CERTIFICATE_FILE"]),
            f"{OWN}STAMP_MINUTES": str(0.3 / 60),
        }


async def until(ledger: LedgerDatabase, query: str, wanted: Any) -> None:
    """Wait until a query gives a value."""
    async with asyncio.timeout(20):
        while ledger.rows(query) != [(wanted,)]:  # noqa: ASYNC110 - the table is all that tells
            await asyncio.sleep(0.05)


async def quiet(ledger: LedgerDatabase) -> None:
    """Wait until everything that is recorded is published and covered by a witnessed checkpoint."""
    open_ends = """SELECT (SELECT count(*) FROM ledger.v_outbox WHERE stream_seq IS NULL) + (SELECT max(seq) + 1 FROM ledger.entry)
                   - (SELECT coalesce(max(size), 0) FROM ledger.published_checkpoint)"""
    await until(ledger, open_ends, 0)
