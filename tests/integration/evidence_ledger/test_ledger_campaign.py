"""A campaign of superusers against one ledger: seeded, at random places, and undone after each; verification notices every one.

Texts are opened too, as by whoever has the key file.
200 attacks in CI, as many as TIERPROOF_TAMPERINGS says otherwise (`make test-tampering`: 2,000).
"""

import asyncio
import os
import random
from collections import Counter
from collections.abc import Iterator

import psycopg
import pytest
from tierproof_embedded.testing import PostgresServer
from tierproof_evidence_ledger.findings import Report
from tierproof_evidence_ledger.migrate import delivered_migrations, migrate
from tierproof_evidence_ledger.term import Office
from tierproof_evidence_ledger.unsealing import open_rows, open_texts
from tierproof_evidence_ledger.verify import verify, verify_rows

from tests.integration.evidence_ledger import tamperings, tamperings_beside, tamperings_quiet, tamperings_signed
from tests.integration.evidence_ledger.attack_scene import TAMPERINGS, Attack, Scene
from tests.integration.evidence_ledger.campaign_ledger import Attacked, fill, stamper_in

ALL = (tamperings, tamperings_beside, tamperings_quiet, tamperings_signed)  # importing them fills TAMPERINGS
ATTACKS = int(os.environ.get("TIERPROOF_TAMPERINGS", "200"))
SEED = int(os.environ.get("TIERPROOF_TAMPERINGS_SEED", "20261123"))


@pytest.fixture(scope="module")
def attacked(
    postgres_server: PostgresServer, office: Office, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Attacked]:
    """Fill a ledger whose log begins with the schema that it was delivered with."""
    name = postgres_server.create_database()
    migrate(postgres_server.dsn(name), delivered_migrations())
    older: list[str] = []

    def copied() -> str:
        older.append(postgres_server.create_database(name))
        return postgres_server.dsn(older[0])

    stamper = stamper_in(tmp_path_factory.mktemp("stamper"))
    yield asyncio.run(fill(postgres_server.dsn(name), office, copied, stamper))
    for database in (name, *older):
        postgres_server.drop_database(database)


def verified(rows: psycopg.Connection[tuple[object, ...]], attacked: Attacked) -> Report:
    return verify_rows(rows, attacked.trust, attacked.known)


def after(attack: Attack, attacked: Attacked, seed: int) -> tuple[Report, int | None]:
    """Attack inside a transaction, verify as the auditor inside it, and roll everything back."""
    with psycopg.connect(attacked.dsn) as connection:
        connection.execute("SET LOCAL session_replication_role = replica")
        expected = attack(Scene(rows=connection, attacked=attacked, dice=random.Random(seed)))
        connection.execute("SET LOCAL session_replication_role = origin")
        connection.execute("SET LOCAL ROLE ledger_auditor")
        report = verified(connection, attacked)
        if not report.faults:  # with the key at hand, who verifies opens the texts as well
            connection.execute("RESET ROLE")
            connection.execute("SET LOCAL ROLE ledger_writer")
            open_rows(connection, attacked.vault, report)
        connection.rollback()
    return report, expected


def test_the_ledger_that_is_attacked_is_right_in_itself(attacked: Attacked) -> None:
    report = verify(attacked.dsn, attacked.trust, attacked.known)
    open_texts(attacked.dsn, attacked.vault, report)
    assert report.faults == []
    assert (report.opened or 0) > 300
    assert report.attested["stamps"] > 3
    assert (report.size, report.first_bad) == (attacked.size, None)
    assert attacked.size > 3 * 256
    assert report.checkpoints > 20
    assert report.published >= 8


@pytest.mark.requirement("LED-append")
@pytest.mark.requirement("LED-proof")
@pytest.mark.timeout(max(120, ATTACKS))
@pytest.mark.filterwarnings("ignore:Parsed a serial number")  # of a certificate in a flipped time stamp
@pytest.mark.part11("11.10(a)")
def test_every_tampering_is_noticed_and_named(attacked: Attacked) -> None:
    assert len(TAMPERINGS) >= 25
    dice = random.Random(SEED)
    names = [*TAMPERINGS, *(dice.choice([*TAMPERINGS]) for _ in range(ATTACKS - len(TAMPERINGS)))]
    unnoticed, misnamed, tried = [], [], Counter[str]()
    for number, name in enumerate(names[:ATTACKS] if len(TAMPERINGS) < ATTACKS else names):
        report, expected = after(TAMPERINGS[name], attacked, SEED + number)
        tried[name] += 1
        if not report.faults:
            unnoticed.append((name, SEED + number))
        elif expected is not None and report.first_bad != expected:
            misnamed.append((name, SEED + number, expected, report.first_bad, report.faults[:3]))
    assert unnoticed == []
    assert misnamed == []
    assert len(tried) == len(TAMPERINGS)
    assert verify(attacked.dsn, attacked.trust, attacked.known).faults == [], "the attacks were undone"


@pytest.mark.requirement("LED-proof")
@pytest.mark.part11("11.10(a)")
def test_a_database_that_is_rolled_back_whole_is_seen_by_who_remembers_more(attacked: Attacked) -> None:
    assert verify(attacked.older, attacked.trust).faults == [], "right in itself: this is what witnesses are for"
    older = verify(attacked.older, attacked.trust, attacked.known)
    assert older.first_bad == older.size
