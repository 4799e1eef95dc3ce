"""What an erasure leaves of a text: searched for in every byte that the whole service has written.

Canaries go in as prompt and as answer, the tenant's key is erased by command, and then every file of database, mirror, witness,
logs and keys is searched. What the broker keeps is another matter: messages carry texts until they age out.
"""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import psycopg
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from nats.aio.client import Client
from tierproof_contracts import subjects
from tierproof_embedded.testing import NatsServer, PostgresServer
from tierproof_evidence_ledger.backup import back_up
from tierproof_evidence_ledger.scrubbing import NotScrubbed, scrub
from tierproof_evidence_ledger.testing import Story, answered_task, text
from tierproof_proofs.release import verify_released
from tierproof_proofs.tlog_proof import verify_proof
from tierproof_proofs.trust import Trust

from tests.integration.evidence_ledger.at_work import tell
from tests.integration.evidence_ledger.found_in_files import forms_of, forms_of_text, places_of
from tests.integration.evidence_ledger.ledger_database import LedgerDatabase
from tests.integration.evidence_ledger.whole_service import command, process, quiet, until, witnessed

PROMPT, ANSWER, OTHERS = "kxqzwvjprompt7Yd", "hgbfnmcanswer3Tq", "zzvrotherstext9K"
WITNESS = "witness.example/canary"


@pytest.fixture
def ledger(own_postgres: PostgresServer) -> LedgerDatabase:
    """A ledger on a server of its own, whose files are all there is to search."""
    return LedgerDatabase.migrated(own_postgres, own_postgres.create_database())


@pytest.fixture
async def whole(environment: dict[str, str], ledger: LedgerDatabase, tmp_path: Path) -> AsyncIterator[dict[str, str]]:
    """The service as it is run: a process with witness and mirror; everything it writes is below `tmp_path`."""
    own = {"ERASER": ledger.dsn("ledger_eraser"), "HOLDER": ledger.dsn("ledger_holder"), "OWNER": ledger.dsn()}
    (tmp_path / "logs").mkdir()
    with (
        witnessed(environment, tmp_path, WITNESS) as beside,
        process("tierproof_evidence_ledger", beside, tmp_path / "logs" / "ledger.log"),
    ):
        yield beside | {f"TIERPROOF_PG_{role}_DSN": dsn for role, dsn in own.items()}


def secret_task() -> Story:
    """Return a task whose prompt, in submission and in request, and whose answer hold canaries."""
    story = answered_task(1, answer=ANSWER)
    inputs = {"reference": text(f"beside {PROMPT}")}
    story = story.saying("task.submitted.v1", prompt=text(f"about {PROMPT}"), inputs=inputs)
    story = story.saying("task.accepted.v1", submission=story["task.submitted.v1"].citation())
    return story.saying("inference.requested.v1", prompt=text(f"asked: {PROMPT}"))


def tenant_key(ledger: LedgerDatabase, folder: Path, tenant: str) -> tuple[bytes, bytes]:
    """Return a tenant's key as it is stored, and unwrapped."""
    [(key_id, wrapped)] = ledger.rows("SELECT key_id, wrapped FROM ledger.text_key WHERE tenant = %s", tenant)
    cipher = AESGCM((folder / "texts.key").read_bytes())
    return wrapped, cipher.decrypt(wrapped[:12], wrapped[12:], f"{key_id}/{tenant}".encode())


async def filled(client: Client, ledger: LedgerDatabase) -> None:
    await tell(client, secret_task(), answered_task(2, tenant="globex", answer=OTHERS))
    await until(ledger, "SELECT count(*) FROM ledger.outbox_published WHERE kind = 'release'", 2)
    await quiet(ledger)


def here(found: dict[str, set[str]]) -> dict[str, set[str]]:
    """Return what was found outside of backups."""
    return {name: {path for path in places if not path.startswith("backup/")} for name, places in found.items()}


async def proofs_hold(client: Client, ledger: LedgerDatabase, trust: Trust, result: bytes) -> int:
    """Verify, of each entry of the erased tenant, a proof that is asked for now, and the result with its own."""
    seqs = [seq for (seq,) in ledger.rows("SELECT seq FROM ledger.v_entry WHERE tenant = 'acme' ORDER BY seq")]
    released = ledger.rows("SELECT seq FROM ledger.outcome WHERE task_id LIKE 'acme%%'")[0][0]
    for seq in seqs:
        content = bytes(ledger.rows("SELECT canonical FROM ledger.entry WHERE seq = %s", seq)[0][0])
        asked = subjects.asked_of_ledger("proof", "tester")
        reply = json.loads((await client.request(asked, json.dumps({"index": seq}).encode(), timeout=10)).data)
        proven = verify_proof(reply["answer"]["proof"], content, trust.log_policy)
        assert (proven.index, set(proven.witnessed)) == (seq, {WITNESS})
        if seq == released:
            verify_released(result, reply["answer"]["proof"], content, trust)
    assert released in seqs
    return len(seqs)


async def result_of(client: Client, story: Story) -> bytes:
    subject = subjects.result_released("acme", story.task_id)
    reply = await client.request("$JS.API.DIRECT.GET.RESULT", json.dumps({"last_by_subj": subject}).encode())
    return bytes(reply.data)


@pytest.mark.requirement("S6-phi")
@pytest.mark.requirement("LED-proof")
@pytest.mark.timeout(120)
async def test_an_erased_text_is_nowhere_but_in_the_broker(
    whole: dict[str, str], ledger: LedgerDatabase, everyone: Client, broker: NatsServer, tmp_path: Path
) -> None:
    await filled(everyone, ledger)
    wrapped, raw = tenant_key(ledger, tmp_path, "acme")
    texts = {name: forms_of_text(name) for name in (PROMPT, ANSWER, OTHERS)}
    secrets = texts | {"raw key": forms_of(raw), "wrapped key": forms_of(wrapped)}
    back_up(ledger.dsn(), tmp_path / "backup")
    ledger.rows("CHECKPOINT")
    before = places_of(secrets, tmp_path)
    assert before["wrapped key"] >= {path for path in before["wrapped key"] if "cluster/pg_wal" in path} != set()
    assert any(path.startswith("cluster/base") for path in before["wrapped key"]), "the search finds what is there"
    assert {name: places for name, places in before.items() if name != "wrapped key"} == {
        name: set() for name in (*texts, "raw key")
    }, "no text was ever in clear outside of the broker"
    in_broker = places_of(texts, broker.broker.folder)
    assert all(in_broker[name] for name in texts), "messages hold texts until they age out"

    erased = command(
        whole, "tierproof_evidence_ledger", "erase", "--tenant", "acme", "--reason", "asked by the tenant", "--yes"
    )
    assert (erased.returncode, "1 key of" in erased.stdout) == (0, True), erased.stderr
    await until(ledger, "SELECT count(*) FROM ledger.v_entry WHERE event_type = 'ledger.erased.v1'", 1)
    for plain in ("VACUUM ledger.text_key", "SELECT pg_switch_wal()", "CHECKPOINT"):
        ledger.rows(plain)
    left = here(places_of(secrets, tmp_path))["wrapped key"]
    assert any("pg_wal" in path for path in left), "an erasure alone leaves the wrapped key in the write-ahead log"

    scrubbed = command(whole, "tierproof_evidence_ledger", "scrub")
    assert scrubbed.returncode == 0, scrubbed.stderr
    await quiet(ledger)
    trust = Trust.from_json((tmp_path / "trust.json").read_text())
    assert await proofs_hold(everyone, ledger, trust, await result_of(everyone, secret_task())) > len(
        secret_task().events
    )
    verified = command(whole, "tierproof_evidence_ledger", "verify")
    assert verified.returncode == 0, verified.stdout
    ledger.server.stop()
    after = places_of(secrets, tmp_path)
    assert here(after) == {name: set() for name in secrets}
    assert any("base/base" in path for path in after["wrapped key"]), "a backup of before the erasure has it still"


@pytest.mark.requirement("S6-phi")
async def test_the_search_finds_a_canary_wherever_it_lies(ledger: LedgerDatabase, tmp_path: Path) -> None:
    """What would go wrong if something wrote a text: each form of it, in each kind of file."""
    secrets = {"text": forms_of_text(PROMPT)}
    ledger.rows("CREATE TABLE public.planted (x text, y bytea)")
    for planted in (
        "INSERT INTO public.planted VALUES ('in a row: ' || %s, NULL)",
        "INSERT INTO public.planted VALUES (repeat('compressed', 2000) || %s || repeat('again', 2000), NULL)",
        "INSERT INTO public.planted VALUES (NULL, convert_to(encode(convert_to('xx' || %s, 'UTF8'), 'base64'), 'UTF8'))",
        "INSERT INTO public.planted VALUES (encode(convert_to(%s, 'UTF8'), 'hex'), NULL)",
    ):
        ledger.rows(planted, PROMPT)
        ledger.rows("CHECKPOINT")
        found = places_of(secrets, tmp_path)["text"]
        assert any(path.startswith("cluster/base") for path in found), planted
        assert any("pg_wal" in path for path in found), planted
        ledger.rows("DELETE FROM public.planted")
        scrub_all(ledger)
        assert places_of(secrets, tmp_path)["text"] == set(), planted
    for number, written in enumerate((PROMPT.encode("utf-16"), PROMPT.encode("utf-16-be"), b"x" + PROMPT.encode())):
        (tmp_path / f"{number}.log").write_bytes(written)
        assert places_of(secrets, tmp_path)["text"] == {f"{number}.log"}
        (tmp_path / f"{number}.log").unlink()


def scrub_all(ledger: LedgerDatabase) -> None:
    """Scrub, with the planted table rewritten as the table of keys is."""
    ledger.rows("VACUUM FULL public.planted")
    scrub(ledger.dsn())


async def test_what_keeps_erased_keys_in_files_is_named(ledger: LedgerDatabase) -> None:
    ledger.rows(
        """INSERT INTO ledger.text_key (key_id, tenant, wrapped)
           VALUES (gen_random_uuid(), 'acme', decode(repeat('00', 60), 'hex'))"""
    )
    with psycopg.connect(ledger.dsn()) as reader:
        reader.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        reader.execute("SELECT count(*) FROM ledger.entry")
        ledger.rows("SELECT ledger.erase_texts_of('acme', 'asked')", role="ledger_eraser")
        with pytest.raises(NotScrubbed, match="1 erased keys stay in the table"):
            scrub(ledger.dsn())
    ledger.rows("SELECT pg_create_physical_replication_slot('late', true)")
    with pytest.raises(NotScrubbed, match="pg_replication_slots"):
        scrub(ledger.dsn())
    ledger.rows("SELECT pg_drop_replication_slot('late')")
    assert scrub(ledger.dsn()).segments >= 1
    with pytest.raises(NotScrubbed, match="permission denied"):
        scrub(ledger.dsn("ledger_eraser"))


async def test_the_planner_keeps_no_sample_of_keys(ledger: LedgerDatabase) -> None:
    """Statistics are rows of their own, which an erasure would not reach."""
    ledger.rows(
        """INSERT INTO ledger.text_key (key_id, tenant, wrapped)
                   SELECT gen_random_uuid(), 'tenant-' || n, substr(sha512(n::text::bytea), 1, 60) FROM generate_series(1, 500) n"""
    )
    ledger.rows("ANALYZE ledger.text_key")
    assert ledger.rows("SELECT attname::text FROM pg_stats WHERE tablename = 'text_key' ORDER BY 1") == [
        ("key_id",),
        ("made_at",),
        ("tenant",),
    ]
