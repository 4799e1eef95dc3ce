"""A real ledger's life in short, and the packs that an auditor carries away from it.

Broker, database, witness and time-stamping authority are processes; so is the ledger, which changes its key on the way. Two tenants'
tasks are answered, declined and reviewed; the texts of one are held, those of the other are erased.
"""

import asyncio
import json
import zipfile
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import nats
import pytest
from tierproof_bus import BusSettings
from tierproof_bus.provision import Deployment, provision
from tierproof_embedded.testing import NatsServer
from tierproof_evidence_ledger import custody
from tierproof_evidence_ledger.testing import REVIEWERS, Story, abstained_task, answered_task, published

from tests.integration.evidence_ledger.at_work import tell
from tests.integration.evidence_ledger.ledger_database import LedgerDatabase
from tests.integration.evidence_ledger.whole_service import (
    OWN,
    command,
    environment_of,
    log_key,
    process,
    quiet,
    stamped,
    until,
    witnessed,
)

MODULE = "tierproof_evidence_ledger"
WITNESS = "witness.example/packs"
OVERLAP = 12
DEEDS = "SELECT count(*) FROM ledger.v_entry WHERE event_type IN ('ledger.erased.v1', 'ledger.held.v1')"
STAMPS = "SELECT count(*) >= %d FROM ledger.v_time_stamp"


@dataclass(frozen=True, slots=True, kw_only=True)
class Packs:
    """Where they are: of the whole log as a folder and as an archive, and of one tenant's entries; whom a stranger believes."""

    whole: Path
    archive: Path
    selected: Path
    trust: Path


def carried_away(broker: NatsServer, ledger: LedgerDatabase, folder: Path) -> Packs:
    """Let a ledger work in a folder, and export it as the auditor."""
    seed = broker.seed_file("provisioner")
    asyncio.run(provision(BusSettings(nats_url=broker.bare_url, nkey_seed_file=seed), Deployment(ack_wait=5.0)))
    environment = environment_of(broker, ledger, folder)
    with ExitStack() as beside:
        told = beside.enter_context(witnessed(environment, folder, WITNESS, log_key(folder / "next.pem")))
        told = beside.enter_context(stamped(told, folder))
        rotating = {f"{OWN}NEXT_LOG_KEY": str(folder / "next.pem"), f"{OWN}LOG_KEY_OVERLAP": str(OVERLAP)}
        with process(MODULE, told, folder / "ledger.log"):
            asyncio.run(_first_years(broker, ledger))
        with process(MODULE, told | rotating, folder / "ledger.log"):
            asyncio.run(_later_years(broker, ledger))
            return _exported(broker, folder)


async def _heard(broker: NatsServer, ledger: LedgerDatabase, stories: Iterable[Story]) -> None:
    client = await nats.connect(broker.url)
    for story in stories:
        await tell(client, story)
        await asyncio.sleep(0)
    await client.drain()
    await quiet(ledger)


async def _first_years(broker: NatsServer, ledger: LedgerDatabase) -> None:
    await until(ledger, "SELECT count(*) > 0 FROM ledger.entry", wanted=True)
    await _heard(broker, ledger, [Story(events=(published(REVIEWERS),)), answered_task(1, safety_class="C")])
    await until(ledger, STAMPS % 1, wanted=True)
    await _heard(broker, ledger, [answered_task(number, tenant="globex") for number in range(2, 14)])


async def _later_years(broker: NatsServer, ledger: LedgerDatabase) -> None:
    rotated = "SELECT count(*) FROM ledger.v_entry WHERE event_type = 'ledger.rotated.v1'"
    await until(ledger, rotated, 1)
    await quiet(ledger)  # the rotation lies under a published checkpoint that the old key has signed
    custody.place_hold(ledger.dsn("ledger_holder"), "globex", "a court asks")
    with pytest.raises(custody.UnderHold):
        custody.erase(ledger.dsn("ledger_eraser"), "globex", "they asked for it")
    assert custody.erase(ledger.dsn("ledger_eraser"), "acme", "they asked for it") == 1
    await until(ledger, DEEDS, 2)
    await quiet(ledger)
    later = [answered_task(number, safety_class="C", tenant="globex") for number in range(14, 26)]
    await _heard(broker, ledger, [*later, *(abstained_task(number) for number in range(26, 36))])
    await until(ledger, STAMPS % 3, wanted=True)


def _exported(broker: NatsServer, folder: Path) -> Packs:
    trust = folder / "trust.json"
    place = {"TIERPROOF_NATS_URL": broker.bare_url, "TIERPROOF_TRUST": str(trust)}
    place |= {"TIERPROOF_CREDENTIALS": str(broker.seed_file("auditor"))}
    for name, filters in {"whole.zip": [], "selected": ["--tenant", "globex", "--type", "result.released.v1"]}.items():
        ran = command(place, "tierproof.cli", "ledger", "export", "--to", str(folder / name), *filters, "--json")
        assert ran.returncode == 0, ran.stderr
        assert json.loads(ran.stdout)["verified"]["verified"]
    with zipfile.ZipFile(folder / "whole.zip") as archive:
        archive.extractall(folder / "whole")
    return Packs(whole=folder / "whole", archive=folder / "whole.zip", selected=folder / "selected", trust=trust)
