"""A ledger whose database and second copy are gone or old: only its witness remembers, and the ledger does not go on."""

import asyncio
import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tierproof_embedded import witness
from tierproof_embedded.layout import Layout
from tierproof_embedded.settings import EmbeddedSettings
from tierproof_embedded.stack import running_stack
from tierproof_proofs.log_key import open_checkpoint
from tierproof_proofs.note import MLDSA44_COSIGNATURE, parse_note
from tierproof_proofs.tlog_proof import witness_times
from tierproof_proofs.trust import Trust

PATIENCE = 60.0


@pytest.fixture
def settings(tmp_path: Path) -> EmbeddedSettings:
    (tmp_path / "fleet").mkdir()
    return EmbeddedSettings(
        home=tmp_path / "state",
        fleet=tmp_path / "fleet",
        only=("evidence-ledger",),
        start_patience=PATIENCE,
        nats_largest_store=2**28,
    )


def said_by(layout: Layout, part: str) -> list[dict[str, Any]]:
    lines = layout.log_of(part).read_text().splitlines() if layout.log_of(part).exists() else []
    return [json.loads(line) for line in lines if line.startswith("{")]


def newest_size(layout: Layout) -> int:
    return max((line["size"] for line in said_by(layout, "witness") if line["event"] == "witness.cosigned"), default=0)


async def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "it never happened"
        await asyncio.sleep(0.05)


@pytest.mark.requirement("LED-append", "LED-proof")
async def test_a_ledger_that_lost_everything_but_its_witness_refuses_to_begin_again(settings: EmbeddedSettings) -> None:
    layout = settings.layout
    async with running_stack(settings):
        await until(lambda: newest_size(layout) > 0)
        trust = Trust.from_json(layout.trust.read_bytes())
        await until((layout.mirror / "checkpoint").exists)
    note = (layout.mirror / "checkpoint").read_bytes()
    checkpoint = open_checkpoint(note, trust.log_keys)
    assert set(witness_times(note, checkpoint, trust.witnesses)) == {settings.witness_name}
    signed = {(line.name, line.key_id) for line in parse_note(note).signatures}
    post_quantum = next(each.key for each in trust.log_keys if each.key.algorithm == MLDSA44_COSIGNATURE)
    assert {(post_quantum.name, post_quantum.key_id)} < signed

    for lost in (layout.postgres, layout.mirror, layout.nats):
        shutil.rmtree(lost)
    before = len(said_by(layout, "evidence-ledger"))
    cosigned = newest_size(layout)
    refused = f"witness {settings.witness_name} has cosigned {cosigned} entries, and here are 0"
    unready = settings.model_copy(update={"restart_limit": 1})
    stack = asyncio.create_task(_run(unready))
    try:
        await until(lambda: any(refused in json.dumps(line) for line in said_by(layout, "evidence-ledger")[before:]))
    finally:
        stack.cancel()
        await asyncio.gather(stack, return_exceptions=True)
    assert newest_size(layout) == cosigned
    assert witness.files(layout).store.exists()
    assert not any(line["event"] == "witness.contradicted" for line in said_by(layout, "witness"))


async def _run(settings: EmbeddedSettings) -> None:
    async with running_stack(settings):
        await asyncio.Event().wait()
