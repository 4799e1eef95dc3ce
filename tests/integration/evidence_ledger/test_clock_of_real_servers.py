"""Clock evidence from a real kernel, a real database, a real broker, and programs that stand in for chronyc."""

import os
import stat
import sys
import time
from datetime import datetime
from pathlib import Path

import nats
import psycopg
import pytest
from tierproof_embedded.testing import NatsServer
from tierproof_evidence_ledger.clock import broker_time, gathered
from tierproof_evidence_ledger.host_clock import (
    ChronyTracking,
    HostClock,
    KernelClock,
    Unknown,
    chrony_tracking,
    kernel_clock,
)

SECOND_US = 1_000_000
LINE = "C0A80001,192.168.0.1,3,1795423238.137,0.000000626,0.0,0.0,-12.345,0.002,0.1,0.0012345,0.000567,64.4,Normal"


@pytest.mark.requirement("LED-append")
async def test_database_and_broker_on_this_machine_agree_with_it(nats_server: NatsServer, database: str) -> None:
    link = await nats.connect(nats_server.url)
    await link.jetstream().add_stream(name="CLOCK", subjects=["clock.>"])
    connection = await psycopg.AsyncConnection.connect(database, autocommit=True)

    async def broker() -> datetime:
        return broker_time((await link.request("$JS.API.STREAM.INFO.CLOCK", b"")).data)

    async def store() -> datetime:
        row = await (await connection.execute("SELECT clock_timestamp()")).fetchone()
        assert row is not None
        found: datetime = row[0]
        return found

    try:
        found = await gathered({"database": store, "broker": broker}, HostClock(), tries=5, seconds=10)
    finally:
        await connection.close()
        await link.close()
    assert abs(found["read_at_us"] - time.time_ns() // 1000) < 60 * SECOND_US
    for name in ("database", "broker"):
        offset = found["offsets"][name]
        assert 0 < offset["round_trip_us"] < 5 * SECOND_US
        assert abs(offset["offset_us"]) <= offset["round_trip_us"] // 2 + 1000  # one machine has one clock


@pytest.mark.skipif(sys.platform != "linux", reason="adjtimex is Linux's")
def test_this_kernel_says_how_well_its_clock_is_kept() -> None:
    found = kernel_clock()
    if isinstance(found, KernelClock):
        assert found.max_error_us >= 0
        assert found.estimated_error_us >= 0
    else:
        assert found.unknown.startswith("adjtimex")


def program(folder: Path, script: str) -> tuple[str]:
    path = folder / "chronyc"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return (str(path),)


async def test_chrony_is_asked_when_it_is_there(tmp_path: Path) -> None:
    found = await chrony_tracking(10, program(tmp_path, f"echo '{LINE}'"))
    assert found == ChronyTracking(
        reference="192.168.0.1",
        stratum=3,
        correction_ns=626,
        root_delay_ns=1_234_500,
        root_dispersion_ns=567_000,
        leap="Normal",
    )


async def test_chrony_that_is_not_there_or_does_not_answer_is_unknown(tmp_path: Path) -> None:
    assert await chrony_tracking(10, (str(tmp_path / "none"),)) == Unknown(unknown=f"{tmp_path}/none is not installed")
    refused = await chrony_tracking(10, program(tmp_path, "echo '506 Cannot talk to daemon'; exit 1"))
    assert isinstance(refused, Unknown)
    assert "no chrony answers" in refused.unknown


async def test_chrony_that_hangs_is_ended(tmp_path: Path) -> None:
    found = await chrony_tracking(0.5, program(tmp_path, f"echo $$ > {tmp_path}/pid; exec sleep 600"))
    assert isinstance(found, Unknown)
    assert "no answer within 0.5 s" in found.unknown
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)
