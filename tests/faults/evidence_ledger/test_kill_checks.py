"""The checks of a campaign can fail: what a superuser, a broker's owner or a full disk took away or added is named."""

import asyncio
import json
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.faults.evidence_ledger.kill_campaign import Course, fought
from tests.faults.evidence_ledger.kill_checks import checked
from tests.faults.evidence_ledger.kill_parts import Stack, whole_stack
from tests.faults.evidence_ledger.surely_published import Told, connected
from tests.integration.evidence_ledger.ledger_database import LedgerDatabase

EVENTS, REST = 420, 60.0
TWICE = """INSERT INTO ledger.entry (seq, canonical)
    SELECT (SELECT max(seq) + 1 FROM ledger.entry), canonical FROM ledger.entry WHERE seq = %s"""
ALTERED = """UPDATE ledger.entry
    SET canonical = convert_to(replace(convert_from(canonical, 'UTF8'), '"tests"', '"TESTS"'), 'UTF8') WHERE seq = %s"""
IN_ITS_PLACE = "UPDATE ledger.entry SET canonical = (SELECT canonical FROM ledger.entry WHERE seq = %s) WHERE seq = %s"
UNREAD = """DELETE FROM ledger.ingest_key k USING ledger.stream s
    WHERE s.stream_id = k.stream_id AND s.name = %s AND k.stream_seq = %s"""
NEWEST = "SELECT seq, said FROM (SELECT seq, (said).event_id AS said FROM ledger.entry WHERE (said).kind = %s) e ORDER BY seq DESC LIMIT 1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A ledger that nobody killed, at rest: its stack with a database of this test's own, and what was acknowledged."""

    stack: Stack
    told: dict[str, Told]

    def faults(self) -> list[str]:
        """Return what the checks find."""
        return checked(self.stack, self.told).faults

    def changed(self, statement: str, *values: object) -> None:
        """Change the database as a superuser who has switched the triggers off."""
        with psycopg.connect(self.stack.ledger.dsn()) as rows:
            rows.execute("SET session_replication_role = replica")
            rows.execute(statement.encode(), values)

    def newest(self, kind: str) -> tuple[int, str]:
        """Return place and event id of the newest entry of a kind."""
        ((seq, event_id),) = self.stack.ledger.rows(NEWEST, kind)
        return seq, str(event_id)


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Stack, Course]]:
    """Run a small ledger without any kill."""
    with whole_stack(tmp_path_factory.mktemp("checks")) as stack:
        yield stack, fought(stack, (), events=EVENTS, rest=REST, tell=print)


@pytest.fixture
def scene(course: tuple[Stack, Course], tmp_path: Path) -> Iterator[Scene]:
    """Copy database, mirror and the witness's store."""
    stack, done = course
    server = stack.postgres
    name = server.create_database(stack.ledger.name)
    for copied in ("mirror", "witness"):
        shutil.copytree(stack.folder / copied, tmp_path / copied)
    for copied in ("trust.json", "texts.key"):
        shutil.copy2(stack.folder / copied, tmp_path / copied)
    yield Scene(stack=replace(stack, folder=tmp_path, ledger=LedgerDatabase(server, name)), told=dict(done.told))
    server.drop_database(name)


def test_nothing_is_found_where_nothing_is_wrong(scene: Scene) -> None:
    assert len(scene.told) == EVENTS
    assert scene.faults() == []


def test_a_dropped_event_is_named(scene: Scene) -> None:
    seq, event_id = scene.newest("event")
    scene.changed("DELETE FROM ledger.entry WHERE seq = %s", seq)
    faults = scene.faults()
    assert f"event {event_id}: acknowledged, and in no entry" in faults
    assert f"entry {seq}: the indices have a gap, or one comes twice" in faults


def test_an_event_that_is_recorded_twice_is_named(scene: Scene) -> None:
    seq, event_id = scene.newest("event")
    scene.changed(TWICE, seq)
    assert f"event {event_id}: 2 entries: more than one entry" in scene.faults()


def test_an_event_in_the_place_of_another_is_named(scene: Scene) -> None:
    seq, event_id = scene.newest("event")
    scene.changed(IN_ITS_PLACE, seq - 1, seq)
    assert f"event {event_id}: acknowledged, and in no entry" in scene.faults()


def test_an_altered_event_is_named(scene: Scene) -> None:
    seq, event_id = scene.newest("event")
    scene.changed(ALTERED, seq)
    assert f"event {event_id}: recorded otherwise than it was sent" in scene.faults()


def test_an_event_that_nobody_was_told_of_is_named(scene: Scene) -> None:
    _, event_id = scene.newest("event")
    told = scene.told.pop(event_id)
    faults = scene.faults()
    assert f"event {event_id}: in the entries, and never acknowledged" in faults
    assert f"{told.stream} {told.sequence}, {told.subject}: in the stream, and nobody was told so" in faults


def test_an_acknowledged_event_that_is_nowhere_is_named(scene: Scene) -> None:
    _, event_id = scene.newest("event")
    scene.told["lost"] = replace(scene.told[event_id], sequence=10_000)
    faults = scene.faults()
    assert "event lost: acknowledged, and not in the stream" in faults
    assert "event lost: acknowledged, and in no entry" in faults


def test_a_task_that_is_released_twice_or_never_is_named(scene: Scene) -> None:
    ((task,),) = scene.stack.ledger.rows("SELECT task_id FROM ledger.outcome ORDER BY seq DESC LIMIT 1")
    scene.changed("DELETE FROM ledger.outcome WHERE task_id = %s", task)
    found = f"task {task}: (1, 0, 1, 1): decisions, outcomes, releases, results are not one of each"
    assert found in scene.faults()
    seq, _ = scene.newest("release")
    scene.changed(TWICE, seq)
    found = f"task {task}: (1, 0, 2, 1): decisions, outcomes, releases, results are not one of each"
    assert found in scene.faults()


def test_a_read_position_that_is_forgotten_is_named(scene: Scene) -> None:
    ((stream, place),) = scene.stack.ledger.rows(
        "SELECT stream, stream_seq FROM ledger.v_ingest_key ORDER BY seq LIMIT 1"
    )
    scene.changed(UNREAD, stream, place)
    assert f"{stream} {place}: in the stream or among the read positions, not in both" in scene.faults()


def of_mirror(scene: Scene, name: str, change: Callable[[bytes], bytes]) -> str:
    path = scene.stack.mirror / name
    path.write_bytes(change(path.read_bytes()))
    return "\n".join(scene.faults())


def test_a_changed_and_a_missing_file_of_the_mirror_are_named(scene: Scene) -> None:
    said = of_mirror(scene, "tile/0/000", lambda content: content[:-1] + bytes([content[-1] ^ 1]))
    assert "mirror: tile/0/000 is not that of the entries" in said
    (scene.stack.mirror / "tile/entries/000").unlink()
    assert any("mirror: tile/entries/000 is missing" in fault for fault in scene.faults())


def test_a_checkpoint_of_another_tree_is_named(scene: Scene) -> None:
    with sqlite3.connect(scene.stack.witness_store) as rows:
        rows.execute("DROP TRIGGER never_smaller")
        rows.execute("UPDATE newest SET root = ?", (bytes(32),))
    rows.close()
    found = [fault for fault in scene.faults() if fault.startswith("witness: its checkpoint of")]
    assert len(found) == 1


async def taken_out(url: str, stream: str, sequence: int) -> dict[str, Any]:
    async with connected(url) as client:
        reply = await client.request(f"$JS.API.STREAM.MSG.DELETE.{stream}", json.dumps({"seq": sequence}).encode())
        answer: dict[str, Any] = json.loads(reply.data)
        return answer


def test_a_message_that_the_broker_lost_is_named(tmp_path: Path) -> None:
    with whole_stack(tmp_path) as stack:
        told = fought(stack, (), events=70, rest=REST, tell=print).told
        event_id, place = next(iter(told.items()))
        taken = asyncio.run(taken_out(stack.nats.url, place.stream, place.sequence))
        if not taken.get("success"):  # the streams refuse it: then only a lost file could do it
            pytest.skip(f"the broker does not let go of a message: {taken['error']['description']}")
        assert f"event {event_id}: acknowledged, and not in the stream" in checked(stack, told).faults
