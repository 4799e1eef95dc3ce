"""The authority as a part of the embedded stack: what the trust file names is what stamps, checkpoints of the ledger among others."""

import asyncio
import shutil
import subprocess
from pathlib import Path

import psycopg
import pytest
from tierproof_embedded.settings import EmbeddedSettings
from tierproof_embedded.stack import Stack, running_stack
from tierproof_evidence_ledger.timestamps import Authority, certificates_of, stamp, verify_stamp
from tierproof_proofs.note import parse_note
from tierproof_proofs.trust import Trust

NOTE = b"tierproof.local/ledger\n7\nqDrl\n"
NEWEST = "SELECT note, reply FROM ledger.time_stamp JOIN ledger.published_checkpoint USING (size)"


def settings_in(folder: Path, *parts: str) -> EmbeddedSettings:
    (folder / "fleet").mkdir()
    return EmbeddedSettings(
        home=folder / "state", fleet=folder / "fleet", triton_url="t:8001", only=parts, start_patience=90
    )


def trusted(stack: Stack) -> bytes:
    return "".join(Trust.from_json(stack.trust.read_bytes()).time_stamping).encode()


@pytest.mark.requirement("LED-proof")
async def test_a_stack_stamps_and_its_trust_file_verifies_that_across_restarts(tmp_path: Path) -> None:
    settings, stamps = settings_in(tmp_path, "tsa"), []
    for _ in range(2):
        async with running_stack(settings) as stack:
            known = certificates_of(trusted(stack))
            where = Authority(url=stack.endpoints.tsa_url, certificates=known, seconds=10, largest_reply=20_000)
            stamps.append(await stamp(where, NOTE))
    first, second = (verify_stamp(each, NOTE, known) for each in stamps)
    assert first <= second


@pytest.mark.requirement("LED-proof")
async def test_a_published_checkpoint_is_stamped_and_strangers_verify_it(tmp_path: Path) -> None:
    async with running_stack(settings_in(tmp_path, "tsa", "evidence-ledger")) as stack:
        pem = trusted(stack)
        note, reply = await _stamped(stack.owner_dsn)
    text = parse_note(note.encode()).text.encode()
    verify_stamp(reply, text, certificates_of(pem))
    if shutil.which("openssl") is not None:
        _openssl_verifies(tmp_path, text=text, reply=reply, pem=pem)


def _openssl_verifies(folder: Path, **files: bytes) -> None:
    for name, content in files.items():
        (folder / name).write_bytes(content)
    arguments = ("ts", "-verify", "-in", "reply", "-data", "text", "-CAfile", "pem")
    said = subprocess.run(["openssl", *arguments], cwd=folder, capture_output=True, text=True, check=False, timeout=30)
    assert "Verification: OK" in said.stdout, said.stderr


async def _stamped(dsn: str) -> tuple[str, bytes]:
    """Return a published checkpoint and its stamp, as soon as there is one."""
    connection = await psycopg.AsyncConnection.connect(dsn, autocommit=True)
    async with connection, asyncio.timeout(60):
        while True:
            row = await (await connection.execute(NEWEST)).fetchone()
            if row is not None:
                return row[0], bytes(row[1])
            await asyncio.sleep(0.2)
