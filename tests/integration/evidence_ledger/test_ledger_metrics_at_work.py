"""A ledger at work counts what it does."""

import asyncio
from typing import Any

from nats.aio.client import Client
from prometheus_client import REGISTRY
from tierproof_evidence_ledger.settings import LedgerSettings


def _value(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(f"tierproof_ledger_{name}", labels) or 0.0


async def test_a_ledger_at_work_says_how_it_is(running: LedgerSettings, everyone: Client, ledger: Any) -> None:
    before, commits = _value("entries_total", kind="rejected"), _value("commit_seconds_count")
    await everyone.jetstream().publish("tierproof.task.submitted.v1.acme.none", b"no event")
    async with asyncio.timeout(20):
        while _value("entries_total", kind="rejected") == before:  # noqa: ASYNC110 - what it counts is what is looked at
            await asyncio.sleep(0.05)
        while _value("published_size") != ledger.rows("SELECT count(*) FROM ledger.entry")[0][0]:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.05)
    assert _value("commit_seconds_count") > commits
    assert _value("size") == _value("published_size") > 0
    assert (_value("unmirrored"), _value("verified_timestamp_seconds") > 0) == (0, True)
