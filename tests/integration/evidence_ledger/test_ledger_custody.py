"""Erasing and holding texts: by name, with a reason, and what was done becomes an entry."""

import json
import uuid
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from tierproof_evidence_ledger import custody, custody_commands
from tierproof_evidence_ledger.recorder import Recorder
from tierproof_evidence_ledger.testing import answered_task
from tierproof_evidence_ledger.testing_streams import Streams

NOW = datetime(2026, 11, 1, 12, 30, tzinfo=UTC)
KEYS = "SELECT count(*) FROM ledger.text_key WHERE tenant = %s"


def _acts(entries: list[bytes]) -> list[tuple[str, dict[str, Any]]]:
    events = [orjson.loads(entry)["event"] for entry in entries]
    return [(event["type"], event["data"]) for event in events]


@pytest.fixture
async def tenant(recorder: Recorder) -> str:
    """A tenant whose texts are in the ledger."""
    story = answered_task(1)
    await recorder.record(Streams().deliver(story.events), NOW)
    return str(story["task.submitted.v1"].data.tenant)


@pytest.mark.part11("11.10(c)")
async def test_what_is_held_is_not_erased_and_the_refusal_names_the_hold(tenant: str, ledger: Any) -> None:
    held = custody.place_hold(ledger.dsn("ledger_holder"), tenant, "a court asks")
    with pytest.raises(custody.UnderHold, match=str(held)):
        custody.erase(ledger.dsn("ledger_eraser"), tenant, "they asked for it")
    assert ledger.rows(KEYS, tenant) == [(1,)]
    custody.lift_hold(ledger.dsn("ledger_holder"), held, "the court has decided")
    assert custody.erase(ledger.dsn("ledger_eraser"), tenant, "they asked for it") == 1
    assert ledger.rows(KEYS, tenant) == [(0,)]
    assert custody.erase(ledger.dsn("ledger_eraser"), tenant, "they asked for it") == 0


@pytest.mark.part11("11.10(e)")
async def test_each_deed_becomes_an_entry_with_role_name_and_reason(
    recorder: Recorder, tenant: str, ledger: Any
) -> None:
    held = custody.place_hold(ledger.dsn("ledger_holder"), tenant, "a court asks", "Grace Hopper")
    custody.lift_hold(ledger.dsn("ledger_holder"), held, "it has decided")
    custody.erase(ledger.dsn("ledger_eraser"), tenant, "asked for", "Ada Lovelace")
    batch = await recorder.record([], NOW)
    (first, placed), (second, lifted), (third, erased) = _acts(batch.entries)
    assert [first, second, third] == ["ledger.held.v1", "ledger.unheld.v1", "ledger.erased.v1"]
    assert placed == {
        "actor": "ledger_holder",
        "on_behalf_of": "Grace Hopper",
        "tenant": tenant,
        "reason": "a court asks",
        "hold": str(held),
    }
    assert (lifted["hold"], lifted["actor"]) == (str(held), "ledger_holder")
    assert "on_behalf_of" not in lifted
    assert (erased["on_behalf_of"], erased["actor"], len(erased["keys"])) == ("Ada Lovelace", "ledger_eraser", 1)
    assert (await recorder.record([], NOW)).is_empty


async def test_holds_say_who_placed_and_who_lifted_them(tenant: str, ledger: Any) -> None:
    first = custody.place_hold(ledger.dsn("ledger_holder"), tenant, "one", "Grace")
    second = custody.place_hold(ledger.dsn("ledger_holder"), tenant, "two")
    custody.lift_hold(ledger.dsn("ledger_holder"), first, "over", "Ada")
    found = custody.holds(ledger.dsn("ledger_holder"))
    assert [(hold.hold_id, hold.placed_for, hold.lifted_for, hold.lifted_because) for hold in found] == [
        (first, "Grace", "Ada", "over"),
        (second, None, None, None),
    ]
    assert [hold.lifted_at is None for hold in found] == [False, True]


async def test_a_hold_is_lifted_once_and_only_if_it_is_there(tenant: str, ledger: Any) -> None:
    held = custody.place_hold(ledger.dsn("ledger_holder"), tenant, "one")
    custody.lift_hold(ledger.dsn("ledger_holder"), held, "over")
    with pytest.raises(custody.NoSuchHold, match="was lifted before"):
        custody.lift_hold(ledger.dsn("ledger_holder"), held, "over")
    with pytest.raises(custody.NoSuchHold, match="there is no hold"):
        custody.lift_hold(ledger.dsn("ledger_holder"), uuid.uuid4(), "over")


@pytest.mark.part11("11.10(d)")
async def test_each_role_may_do_its_own_deed_alone(tenant: str, ledger: Any) -> None:
    for role in ("ledger_holder", "ledger_auditor", "ledger_writer"):
        with pytest.raises(custody.DeedRefused, match="permission denied"):
            custody.erase(ledger.dsn(role), tenant, "why not")
    for role in ("ledger_eraser", "ledger_auditor", "ledger_writer"):
        with pytest.raises(custody.DeedRefused, match="permission denied"):
            custody.place_hold(ledger.dsn(role), tenant, "why not")


@pytest.mark.parametrize(("reason", "name"), [("", None), ("x" * 501, None), ("why", ""), ("why", "x" * 201)])
async def test_no_deed_without_a_reason_or_for_a_name_that_is_none(
    reason: str, name: str | None, tenant: str, ledger: Any
) -> None:
    with pytest.raises(custody.DeedRefused, match="nothing was done: a "):
        custody.erase(ledger.dsn("ledger_eraser"), tenant, reason, name)
    assert ledger.rows(KEYS, tenant) == [(1,)]


@pytest.fixture
def commands(ledger: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """A function that runs a command and returns its exit code, its output and what it complained of."""
    monkeypatch.setenv("TIERPROOF_PG_ERASER_DSN", ledger.dsn("ledger_eraser"))
    monkeypatch.setenv("TIERPROOF_PG_HOLDER_DSN", ledger.dsn("ledger_holder"))

    def run(*arguments: str) -> tuple[int, str, str]:
        code = custody_commands.main(arguments)
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


async def test_the_commands_do_the_same(tenant: str, commands: Any) -> None:
    code, out, _ = commands("hold", "--tenant", tenant, "--reason", "a court", "--as", "Grace", "--json")
    held = json.loads(out)["hold"]
    assert code == 0
    code, _, complaint = commands("erase", "--tenant", tenant, "--reason", "asked", "--yes")
    assert (code, held in complaint) == (1, True)
    assert f"{held}  {tenant}" in commands("holds")[1]
    assert "by Grace (ledger_holder): a court" in commands("holds")[1]
    assert commands("unhold", held, "--reason", "over")[0] == 0
    assert commands("unhold", held, "--reason", "over")[0] == 1
    assert "lifted" in commands("holds")[1]
    code, out, _ = commands("erase", "--tenant", tenant, "--reason", "asked", "--yes")
    assert (code, "erased for ever: 1 key of" in out) == (0, True)
    assert "nothing was erased" in commands("erase", "--tenant", tenant, "--reason", "asked", "--yes")[1]
