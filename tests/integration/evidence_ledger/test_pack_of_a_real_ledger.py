"""A stranger gets a pack of a real ledger, and has one file of Python: sound it verifies, and touched anywhere it does not."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from tierproof_embedded.testing import NatsServer, PostgresServer

from tests.integration.evidence_ledger.carried_away import Packs, carried_away
from tests.integration.evidence_ledger.ledger_database import LedgerDatabase

pytestmark = [pytest.mark.requirement("LED-proof"), pytest.mark.requirement("LED-query")]


@pytest.fixture(scope="module")
def packs(
    start_nats: Callable[[], AbstractContextManager[NatsServer]],
    postgres_server: PostgresServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Packs]:
    """Packs of one ledger, which works once for all tests here."""
    name = postgres_server.create_database()
    with start_nats() as broker:
        ledger = LedgerDatabase.migrated(postgres_server, name)
        yield carried_away(broker, ledger, tmp_path_factory.mktemp("ledger"))
    postgres_server.drop_database(name)


def verified(packs: Packs, pack: Path, *options: str, alone: bool = False) -> tuple[int, dict[str, Any]]:
    """Return exit code and report of the pack's own verifier: isolated, `alone` without any package, away from the repository."""
    command = [
        sys.executable,
        "-I",
        *(["-S"] if alone else []),
        str(packs.whole / "tierproof_verify.py"),
        str(pack),
        "--json",
    ]
    trust = [] if "--trust" in options else ["--trust", str(packs.trust)]
    ran = subprocess.run([*command, *trust, *options], cwd="/", env={}, capture_output=True, text=True, check=False)
    assert ran.stderr == ""
    return ran.returncode, json.loads(ran.stdout)


@pytest.mark.part11("11.10(b)")
@pytest.mark.parametrize("alone", [False, True])
@pytest.mark.parametrize("which", ["whole", "archive", "selected"])
def test_a_pack_of_a_real_ledger_verifies(packs: Packs, which: str, *, alone: bool) -> None:
    code, report = verified(packs, getattr(packs, which), alone=alone)
    assert (code, report["faults"]) == (0, [])
    assert report["time_stamps"] >= 3
    assert report["full"] is (which != "selected")
    assert any("ML-DSA" in each for each in report["not_checked"]) is alone
