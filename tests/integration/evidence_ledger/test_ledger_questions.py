"""What an auditor asks, of a log that stands in the tables as a sequencer leaves it."""

import asyncio
import base64
import itertools
import json
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import psycopg
import pytest
from tierproof_contracts.canonical import canonical_json
from tierproof_contracts.documents import FleetManifest, ModelRevokedV1
from tierproof_contracts.inference import AdapterPin
from tierproof_embedded.testing import PostgresServer
from tierproof_evidence_ledger import pages
from tierproof_evidence_ledger.errors import NotInOffice
from tierproof_evidence_ledger.findings import Report
from tierproof_evidence_ledger.migrate import delivered_migrations, migrate
from tierproof_evidence_ledger.questions import Answers
from tierproof_evidence_ledger.testing import REVIEWERS, answered_task, enveloped, published
from tierproof_evidence_ledger.testing_log import Stock, entry_about
from tierproof_proofs.keys import Ed25519Signer
from tierproof_proofs.log_key import LogKey
from tierproof_proofs.merkle import leaf_hash, range_root, root_of
from tierproof_proofs.note import NoteSigner
from tierproof_proofs.tlog_proof import LogPolicy, verify_proof

SIGNER = NoteSigner(name="ledger.example/tests", signer=Ed25519Signer.from_seed(b"log key seed, for tests only 32b"))
POLICY = LogPolicy(log_keys=(LogKey(key=SIGNER.verifier_key),))
LARGEST = 8 << 20


def recorded(minute: int) -> str:
    return f"2026-11-01T{12 + minute // 60:02}:{minute % 60:02}:00.000000Z"


def act(data: dict[str, Any], number: int, at: str, event_type: str = "ledger.queried.v1") -> bytes:
    event = {
        "id": f"00000000-0000-4000-8000-{number:012x}",
        "type": event_type,
        "source": "evidence-ledger",
        "subject": event_type,
        "time": at,
        "data": data,
    }
    return canonical_json({"entry": 1, "kind": "act", "recorded_at": at, "event": event})


def told_of(event: Any, at: str, n: int) -> bytes:
    return entry_about(event, at, n)


def done(event_type: str, data: dict[str, Any], at: str, n: int) -> bytes:
    return act(data, n, at, event_type)


class Ledger:
    """A log in the tables, and an auditor who asks it. Every minute something is recorded."""

    def __init__(
        self, dsn: Callable[..., str], connection: psycopg.Connection[Any], *, page_bytes: int = 1 << 20
    ) -> None:
        self.stock = Stock(connection, SIGNER)
        self.in_office, self.verified = True, Report(size=1, root=bytes(32))
        self.answers = Answers(dsn("ledger_auditor"), self.verify, self.note, page_bytes=page_bytes)
        self._minutes = itertools.count()

    def record(self, *entries: Callable[[str, int], bytes], publish: bool = True) -> int:
        at = recorded(next(self._minutes))
        first = self.stock.size
        return self.stock.append([entry(at, first + n) for n, entry in enumerate(entries)], publish=publish)

    def tasks(self, *numbers: int, **how: Any) -> list[Any]:
        stories = [answered_task(number, **how) for number in numbers]
        for story in stories:
            self.record(*(partial(told_of, event) for event in story.events))
        return stories

    async def verify(self) -> Report:
        return self.verified

    async def note(self, event_type: str, data: dict[str, Any]) -> int:
        if not self.in_office:
            raise NotInOffice("another one is in office")
        return self.record(partial(done, event_type, data))

    async def reply(self, name: str, asker: str = "auditor", largest: int = LARGEST, **question: Any) -> Any:
        return json.loads(await self.answers.answer(name, json.dumps(question).encode(), asker, largest))

    async def ask(self, name: str, asker: str = "auditor", **question: Any) -> Any:
        reply = await self.reply(name, asker, **question)
        assert "refused" not in reply, reply
        return reply["answer"]

    async def refused(self, name: str, asker: str = "auditor", **question: Any) -> tuple[str, str]:
        refused = (await self.reply(name, asker, **question))["refused"]
        return refused["code"], refused["message"]

    def types(self) -> list[str]:
        return [
            str(row[0]) for row in self.stock._connection.execute("SELECT event_type FROM ledger.v_entry ORDER BY seq")
        ]


@pytest.fixture
def asked(ledger: Any) -> Iterator[Ledger]:
    with psycopg.connect(ledger.dsn()) as connection:
        log = Ledger(ledger.dsn, connection)
        yield log
        log.answers.close()


def indexes(answer: Any) -> list[int]:
    return [entry["index"] for entry in answer["entries"]]


@pytest.mark.requirement("LED-query")
@pytest.mark.part11("11.10(c)")
async def test_entries_are_found_by_every_condition(asked: Ledger) -> None:
    stories = [*asked.tasks(1), *asked.tasks(2, tenant="globex", safety_class="C")]
    size = asked.stock.size
    model = stories[0]["inference.settled.v1"].data.settlement.model.weights
    every = range(size)
    first = len(stories[0].events)
    cases: dict[str, tuple[dict[str, Any], set[int]]] = {
        "task": ({"task_id": stories[1].task_id}, set(range(first, size))),
        "type": ({"event_type": "task.submitted.v1"}, {0, first}),
        "kind": ({"kind": "event"}, set(every)),
        "actor": ({"actor": "producer-1"}, {0, first}),
        "signer": ({"actor": "ada"}, {size - 2}),
        "model": ({"model": model}, {2, 3, first + 2, first + 3}),
        "tenant": ({"tenant": "globex"}, set(range(first, size))),
        "class": ({"safety_class": "C", "event_type": "task.decided.v1"}, {size - 1}),
        "since": ({"since": recorded(1), "until": recorded(2)}, set(range(first, size))),
        "until": ({"until": recorded(1)}, set(range(first))),
        "two together": ({"actor": "ada", "tenant": "acme"}, set()),
    }
    for name, (conditions, expected) in cases.items():
        found = await asked.ask("search", as_of=size, **conditions)
        assert set(indexes(found)) == expected, name
        assert (found["size"], found["more"]) == (size, False)


@pytest.mark.requirement("LED-query")
@pytest.mark.parametrize("newest_first", [False, True])
async def test_pages_are_whole_and_stand_still_while_the_log_grows(asked: Ledger, newest_first: bool) -> None:  # noqa: FBT001
    asked.tasks(1, 2, 3)
    found: list[int] = []
    page = await asked.ask("search", kind="event", newest_first=newest_first, limit=4)
    size = page["size"]
    found += indexes(page)
    while page["more"]:
        asked.tasks(10 + len(found))
        page = await asked.ask("search", kind="event", newest_first=newest_first, limit=4, as_of=size, after=found[-1])
        assert page["size"] == size
        found += indexes(page)
    every = [n for n in range(size) if n < size - 1]  # the last one is the act of asking
    assert found == (every[::-1] if newest_first else every)


@pytest.mark.requirement("LED-query")
async def test_a_page_is_no_larger_than_a_message(ledger: Any) -> None:
    with psycopg.connect(ledger.dsn()) as connection:
        asked = Ledger(ledger.dsn, connection, page_bytes=6000)
        asked.tasks(1, 2)
        page = await asked.ask("search", limit=1000)
        assert page["more"]
        assert 0 < len(page["entries"]) < page["size"]
        small = await asked.reply("story", largest=5000, task_id=answered_task(1).task_id)
        assert small["refused"]["code"] == "bad-question"
        asked.answers.close()


@pytest.mark.requirement("LED-query")
async def test_the_ledger_as_it_was(asked: Ledger) -> None:
    story = asked.tasks(1)[0]
    outcome = asked.stock.size
    asked.tasks(2)
    assert (await asked.ask("search", as_of=recorded(0)))["size"] == outcome
    assert (await asked.ask("search", as_of=3))["size"] == 3
    assert indexes(await asked.ask("search", as_of="2026-01-01T00:00:00Z")) == []
    assert len((await asked.ask("story", task_id=story.task_id, as_of=2))["events"]) == 2
    assert (await asked.refused("story", task_id=story.task_id, as_of=0))[0] == "not-found"
    assert (await asked.refused("search", as_of=10**6))[0] == "bad-question"


@pytest.mark.requirement("LED-query")
@pytest.mark.part11("11.10(e)")
async def test_who_asked_is_recorded_before_the_answer(asked: Ledger) -> None:
    asked.tasks(1)
    before = asked.stock.size
    found = await asked.ask("search", "auditor", actor="producer-1", reason="a complaint")
    assert asked.stock.size == before + 1
    assert found["size"] == before + 1
    own = (await asked.ask("search", "auditor", actor="auditor", limit=1))["entries"][0]
    assert (own["kind"], own["type"]) == ("act", "ledger.queried.v1")
    assert own["data"] == {
        "actor": "auditor",
        "question": "search",
        "asked": {"actor": "producer-1", "newest_first": False, "limit": 100},
        "reason": "a complaint",
    }
    asked.in_office = False
    assert (await asked.refused("search"))[0] == "unavailable"
    asked.in_office = True
    await asked.ask("verify", "auditor")
    assert asked.types()[-2:] == ["ledger.queried.v1", "ledger.verified.v1"]


@pytest.mark.requirement("LED-proof")
async def test_proofs_hold_at_every_place_and_leave_no_entry(asked: Ledger) -> None:
    entries = [entry_about(event, recorded(0), n) for n, event in enumerate(answered_task(1).events * 90)]
    for size in (1, 2, 253, 255, 256, 257, 511, 512, 600):
        asked.stock.append(entries[asked.stock.size : size])
        for index in {0, size // 2, size - 1}:
            found = await asked.ask("proof", "app-acme", index=index)
            content = base64.b64decode(found["entry"])
            proven = verify_proof(found["proof"], content, POLICY)
            assert (content, proven.index, proven.checkpoint.size) == (entries[index], index, size)
    asked.stock.append(entries[:1], publish=False)
    assert (await asked.refused("proof", index=600))[0] == "not-yet"
    assert (await asked.refused("proof", index=601))[0] == "not-found"
    assert (await asked.refused("proof"))[0] == "not-found"
    assert "ledger.queried.v1" not in asked.types()


@pytest.mark.requirement("LED-proof")
async def test_a_proof_that_does_not_hold_is_not_given(asked: Ledger) -> None:
    asked.tasks(1)
    connection = asked.stock._connection
    connection.execute("SET session_replication_role = replica")
    connection.execute(
        "UPDATE ledger.entry SET canonical = replace(convert_from(canonical, 'UTF8'), 'acme', 'evil')::bytea WHERE seq = 3"
    )
    connection.commit()
    assert (await asked.refused("proof", index=3))[0] == "unavailable"
    assert (await asked.ask("proof", index=2))["index"] == 2


async def pages_of(asked: Ledger, name: str, member: str, **question: Any) -> list[Any]:
    """Follow an export by its `after`."""
    found: list[Any] = []
    while True:
        page = await asked.ask(name, **question)
        found += page[member]
        if not page["more"]:
            return found
        question["after"] = found[-1].get("index", found[-1].get("size"))


@pytest.mark.requirement("LED-query")
@pytest.mark.part11("11.10(b)")
async def test_an_export_carries_the_log_and_its_tree(ledger: Any) -> None:
    with psycopg.connect(ledger.dsn()) as connection:
        asked = Ledger(ledger.dsn, connection, page_bytes=40_000)
        asked.tasks(*range(80))
        first = await asked.ask("export-entries", reason="inspection")
        size, export = first["size"], first["export"]
        assert f"\n{size}\n" in first["checkpoint"]
        acts = asked.types().count("ledger.queried.v1")
        asked.tasks(100)
        entries = first["entries"] + await pages_of(
            asked, "export-entries", "entries", export=export, size=size, after=first["entries"][-1]["index"]
        )
        assert [entry["index"] for entry in entries] == list(range(size))
        leaves = [leaf_hash(entry["entry"].encode()) for entry in entries]
        tiles: dict[tuple[int, int], bytes] = {}
        place: tuple[int, int] | None = (0, 0)
        while place:
            page = await asked.ask("export-tiles", export=export, size=size, level=place[0], n=place[1])
            tiles |= {(tile["level"], tile["n"]): base64.b64decode(tile["hashes"]) for tile in page["tiles"]}
            place = (page["next_level"], page["next_n"]) if "next_level" in page else None
        assert b"".join(tiles[0, n] for n in range(-(-size // 256))) == b"".join(leaves)
        assert tiles[1, 0] == b"".join(root_of(leaves[n * 256 : n * 256 + 256]) for n in range(size // 256))
        checkpoints = await pages_of(asked, "export-checkpoints", "checkpoints", export=export, size=size)
        assert checkpoints[-1] == {"size": size, "note": first["checkpoint"]}
        connection.execute("INSERT INTO ledger.time_stamp VALUES (%s, %s)", [size, b"stamp"])
        connection.commit()
        stamps = await pages_of(asked, "export-stamps", "stamps", export=export, size=size)
        assert stamps == [{"size": size, "reply": base64.b64encode(b"stamp").decode()}]
        assert asked.types().count("ledger.queried.v1") == acts
        asked.answers.close()
    assert range_root(0, size, lambda height, at: root_of(leaves[at << height : (at + 1) << height])) == root_of(leaves)


@pytest.mark.requirement("LED-query")
async def test_a_page_goes_on_only_with_its_own_export(asked: Ledger) -> None:
    asked.tasks(1, 2)
    first = await asked.ask("export-entries", tenant="acme", limit=2)
    later = {"export": first["export"], "size": first["size"], "after": 1}
    assert (await asked.ask("export-entries", tenant="acme", **later))["entries"]
    wrong: list[tuple[str, dict[str, Any]]] = [
        ("auditor", later),  # without the condition
        ("auditor", later | {"tenant": "globex"}),
        ("somebody", later | {"tenant": "acme"}),
        ("auditor", later | {"tenant": "acme", "export": 0}),
        ("auditor", later | {"tenant": "acme", "export": 10**9}),
        ("auditor", later | {"tenant": "acme", "size": 3}),
    ]
    for asker, question in wrong:
        assert (await asked.refused("export-entries", asker, **question))[0] == "bad-question", question
    assert (await asked.ask("export-entries", as_of=recorded(0)))["size"] == len(answered_task(1).events)
    assert (await asked.refused("export-entries", as_of="2026-01-01T00:00:00Z"))[0] == "not-yet"


HOSTILE = ("'; DROP TABLE ledger.entry; --", "%s", "%(size)s", "\\", "' OR '1'='1", "$1", "{}", "ünï", "x" * 500)


@pytest.mark.requirement("LED-query")
@pytest.mark.parametrize("words", HOSTILE)
async def test_hostile_words_are_only_words(asked: Ledger, words: str) -> None:
    asked.tasks(1)
    for name in ("event_type", "actor"):
        assert indexes(await asked.ask("search", **{name: words}, as_of=1)) == []
    for name in ("kind", "task_id", "model", "tenant", "safety_class", "since", "until", "as_of"):
        code, message = await asked.refused("search", **{name: words})
        assert (code, name in message) == ("bad-question", True), name
    assert (await asked.refused("history", record=words))[0] == "bad-question"
    assert (await asked.refused("story", task_id=words))[0] == "bad-question"
    assert (await asked.refused("search", **{words: "x"}))[0] == "bad-question"
    assert (await asked.ask("search", as_of=1, reason=words))["size"] == 1


@pytest.mark.parametrize(
    ("question", "named"),
    [
        ({"actr": "ada"}, "actr"),
        ({"actor": ""}, "actor"),
        ({"actor": "a\x00b"}, "actor"),
        ({"actor": "a\nb"}, "actor"),
        ({"actor": "x" * 501}, "actor"),
        ({"since": "2026-13-01T00:00:00Z"}, "since"),
        ({"since": "2026-11-02T00:00:00Z", "until": "2026-11-01T00:00:00Z"}, "since"),
        ({"limit": 0}, "limit"),
        ({"limit": 1001}, "limit"),
        ({"after": -1}, "after"),
        ({"after": 2**64}, "after"),
        ({"as_of": -1}, "as_of"),
        ({"as_of": "yesterday"}, "as_of"),
        ({"model": "sha256:0"}, "model"),
        ({"kind": "secret"}, "kind"),
        ({"reason": "\x1b[2J"}, "reason"),
    ],
)
async def test_bad_conditions_are_named_and_not_recorded(asked: Ledger, question: dict[str, Any], named: str) -> None:
    code, message = await asked.refused("search", **question)
    assert (code, named in message) == ("bad-question", True), message
    assert asked.stock.size == 0


async def test_many_ask_at_once(asked: Ledger) -> None:
    asked.tasks(1, 2)
    found = await asyncio.gather(*(asked.ask("proof", index=index % 10) for index in range(40)))
    assert [proof["index"] for proof in found] == [index % 10 for index in range(40)]


@pytest.mark.requirement("LED-append")
@pytest.mark.part11("11.10(e)")
@pytest.mark.part11("11.10(k)")
async def test_the_history_of_every_kind_of_record(asked: Ledger) -> None:
    weights = "sha256:" + "1" * 64
    manifest = FleetManifest(version="1", tiers={}, adapters={"a": AdapterPin(name="a", digest=weights)})
    more = REVIEWERS.model_copy(update={"version": "2"})
    revoked = enveloped(ModelRevokedV1(digest=weights, reason="unsafe", revoked_by="grace"))
    for event in (published(REVIEWERS), published(manifest), published(more), revoked):
        asked.record(partial(told_of, event))
    held = {"actor": "ledger_holder", "tenant": "acme", "reason": "litigation", "hold": "h1"}
    erased = {"actor": "ledger_eraser", "tenant": "acme", "reason": "art. 17", "keys": ["k1", "k2"]}
    rotated = {"actor": "operator", "key": "new+key", "old": "old+key", "from": 10, "until_old": 12}
    for name, data in (("held", held), ("unheld", held | {"reason": "over"}), ("erased", erased), ("rotated", rotated)):
        asked.record(partial(done, f"ledger.{name}.v1", data))
    story = asked.tasks(1, safety_class="C")[0]

    async def told(record: str, **how: Any) -> list[tuple[Any, ...]]:
        rows = (await asked.ask("history", record=record, **how))["rows"]
        return [(row["index"], row["who"], row.get("old"), row["new"], row.get("why")) for row in rows]

    assert await told("document:reviewers") == [
        (0, "tests", None, REVIEWERS.digest(), None),
        (2, "tests", REVIEWERS.digest(), more.digest(), None),
    ]
    changed = (await asked.ask("history", record="document:reviewers", after=0))["rows"][0]["changes"]
    assert changed == [{"member": "version", "old": "1", "new": "2"}]
    assert await told("document:routing-policy") == []
    assert await told(f"model:{weights}") == [
        (1, "tests", "not listed", "in good standing", None),
        (3, "grace", "in good standing", "revoked", "unsafe"),
    ]
    assert await told("texts:acme") == [
        (4, "ledger_holder", "readable", "held (1)", "litigation"),
        (5, "ledger_holder", "held (1)", "not held", "over"),
        (6, "ledger_eraser", "not held", "erased (2 keys)", "art. 17"),
    ]
    assert await told("texts:globex") == []
    signs = "signs from 10 on, the old one until 12"
    assert await told("log-key") == [(7, "operator", "old+key", "new+key", signs)]
    states = [row[3] for row in await told(f"task:{story.task_id}")]
    assert states[:4] == ["submitted", "accepted", "asking tier s", "tier s: completed"]
    assert states[-3:] == ["waiting for a person", "a person's word: confirm", "decided: accepted"]
    assert [row[3] for row in await told(f"task:{story.task_id}", limit=2, after=9)] == states[2:4]
    assert len(await told("texts:acme", as_of=5)) == 1
    assert [row[2] for row in await told(f"task:{story.task_id}", after=8, limit=1)] == ["submitted"]


@pytest.mark.requirement("LED-query")
@pytest.mark.parametrize("newest_first", [False, True])
async def test_conditions_that_seldom_meet_find_the_same(
    asked: Ledger,
    newest_first: bool,  # noqa: FBT001
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked.tasks(*range(6))
    asked.tasks(*range(6, 9), tenant="globex", safety_class="C")
    asked.tasks(*range(9, 12))
    questions: list[dict[str, Any]] = [
        {"actor": "producer-1", "tenant": "globex"},
        {"actor": "ada", "tenant": "acme"},
        {"kind": "event", "event_type": "task.decided.v1"},
        {
            "model": answered_task(1)["inference.settled.v1"].data.settlement.model.weights,
            "tenant": "globex",
            "kind": "event",
        },
    ]
    size = asked.stock.size
    for question in questions:
        for limit in (2, 100):
            how = question | {"as_of": size, "newest_first": newest_first, "limit": limit}
            monkeypatch.setattr(pages, "NEARBY", 1 << 16)
            plain = await asked.ask("search", **how)
            for nearby in (1, 7, 60):
                monkeypatch.setattr(pages, "NEARBY", nearby)
                assert await asked.ask("search", **how) == plain


async def test_a_question_that_nobody_can_record_is_to_be_asked_again(asked: Ledger) -> None:
    asked.in_office = False
    code, message = await asked.refused("story", task_id=answered_task(1).task_id)
    assert (code, "ask again" in message) == ("unavailable", True)
    assert (await asked.refused("proof", index=0))[0] == "not-found", "a proof needs nobody in office"


async def test_a_query_that_takes_too_long_is_ended(ledger: Any) -> None:
    with psycopg.connect(ledger.dsn()) as connection:
        asked = Ledger(ledger.dsn, connection)
        asked.tasks(1)
        limited = Answers(ledger.dsn("ledger_auditor"), asked.verify, asked.note, limit_ms=50)
        connection.execute("LOCK TABLE ledger.entry")
        reply = json.loads(await limited.answer("proof", b'{"index": 1}', "auditor", LARGEST))
        assert (reply["refused"]["code"], "too long" in reply["refused"]["message"]) == ("unavailable", True)
        connection.rollback()
        assert b"answer" in await limited.answer("proof", b'{"index": 1}', "auditor", LARGEST)
        limited.close()
        asked.answers.close()


@pytest.mark.requirement("LED-query")
async def test_answers_go_on_after_the_database_was_down(own_postgres: PostgresServer) -> None:
    name = own_postgres.create_database()
    migrate(own_postgres.dsn(name), delivered_migrations())

    def dsn(role: str) -> str:
        return own_postgres.dsn(name, role, role)

    with psycopg.connect(own_postgres.dsn(name)) as connection:
        connection.execute("ALTER ROLE ledger_auditor PASSWORD 'ledger_auditor'")
        asked = Ledger(dsn, connection)
        asked.tasks(1)
    for index in range(3):
        assert (await asked.ask("proof", index=index))["index"] == index
        own_postgres.kill()
        async with asyncio.timeout(10):  # a process of the dead server may answer one more question
            while "refused" not in (said := await asked.reply("proof", index=index)):  # noqa: ASYNC110 - nothing tells but asking
                await asyncio.sleep(0.05)
        assert said["refused"]["code"] == "unavailable"
        own_postgres.start()
    assert (await asked.ask("proof", index=3))["index"] == 3
    asked.answers.close()
