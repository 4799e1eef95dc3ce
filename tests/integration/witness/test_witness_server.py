"""The witness as a process: over HTTP, killed, started again, flooded, and asked by a stranger."""

import asyncio
import json
import os
import random
import re
import signal
import stat
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

import aiohttp
import pytest
from tierproof_proofs.cosignature import cosignature_time
from tierproof_proofs.log_key import LogKey, open_checkpoint
from tierproof_proofs.note import VerifierKey, key_for, parse_line, parse_vkey
from tierproof_proofs.tlog_proof import witness_times
from tierproof_witness.server import SIZE_TYPE

from tests.unit.witness.witness_parts import LOG, MALLORY, ORIGIN, Tree, body, logs_file

pytestmark = pytest.mark.requirement("LED-proof")
TREE = Tree(60)
FORK = Tree(60, branch="b", common=3)
NAME = "w.example/process"


def environment_of(folder: Path, **more: object) -> dict[str, str]:
    own = {
        "NAME": NAME,
        "HTTP_PORT": 0,
        "STORE_FILE": folder / "store",
        "KEY_FILE": folder / "key.pem",
        "MLDSA_KEY_FILE": folder / "pq.pem",
        "LOGS_FILE": logs_file(folder),
        **more,
    }
    return {**os.environ, **{f"TIERPROOF_WITNESS_{name}": str(value) for name, value in own.items()}}


def run(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "tierproof_witness", *arguments]
    return subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=30, check=False)


class Process:
    """A witness process and where it listens."""

    def __init__(self, environment: dict[str, str]) -> None:
        argv = [sys.executable, "-m", "tierproof_witness", "serve"]
        self.process = subprocess.Popen(argv, env=environment, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.said = json.loads(self.process.stdout.readline())
        assert self.said["event"] == "witness.serving", self.said
        self.url = f"http://{self.said['host']}:{self.said['port']}"

    def end(self, how: signal.Signals) -> int:
        self.process.send_signal(how)
        return self.process.wait(timeout=20)


@contextmanager
def witness_process(environment: dict[str, str]) -> Iterator[Process]:
    started = Process(environment)
    try:
        yield started
    finally:
        started.end(signal.SIGKILL)
        assert started.process.stdout is not None
        started.process.stdout.close()


@pytest.fixture
def witness(tmp_path: Path) -> Iterator[Process]:
    with witness_process(environment_of(tmp_path, LARGEST_BODY=16384, BODY_SECONDS=0.5)) as started:
        yield started


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20)) as session:
        yield session


async def add(http: aiohttp.ClientSession, url: str, content: bytes) -> tuple[int, str, str]:
    async with http.post(f"{url}/add-checkpoint", data=content) as answer:
        return answer.status, answer.content_type, await answer.text()


def keys_of(folder: Path) -> list[VerifierKey]:
    printed = run(environment_of(folder), "keys")
    assert printed.returncode == 0, printed.stderr
    return [parse_vkey(line) for line in printed.stdout.splitlines()]


async def test_a_submission_over_http_is_answered_with_cosignatures_that_verify(
    witness: Process, http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    keys = keys_of(tmp_path)
    assert [(key.name, key.algorithm) for key in keys] == [(NAME, 0x04), (NAME, 0x06)]
    before = int(time.time())
    status, kind, text = await add(http, witness.url, TREE.submission(0, 9))
    assert (status, kind) == (200, "text/plain")
    checkpoint = TREE.checkpoint(9)
    lines = [parse_line(line) for line in text.splitlines()]
    for line in lines:
        key = key_for(line, keys)
        assert key is not None
        stamped = cosignature_time(key, line.signature, str(checkpoint), checkpoint)
        assert stamped is not None
        assert before <= stamped <= time.time()
    assert len(lines) == 2


async def test_each_refusal_has_the_status_of_the_specification(witness: Process, http: aiohttp.ClientSession) -> None:
    assert (await add(http, witness.url, TREE.submission(0, 9)))[0] == 200
    assert await add(http, witness.url, TREE.submission(0, 12)) == (409, SIZE_TYPE, "9\n")
    assert await add(http, witness.url, TREE.submission(4, 5)) == (409, SIZE_TYPE, "9\n")
    statuses = [
        (await add(http, witness.url, content))[0]
        for content in (
            FORK.submission(9, 9),
            FORK.submission(9, 12),
            body(9, [], TREE.note(12)),
            TREE.submission(9, 12, MALLORY),
            TREE.submission(9, 12).replace(ORIGIN.encode(), b"log.example/unknown"),
            b"old 9\n",
            body(13, [], TREE.note(12)),
        )
    ]
    assert statuses == [422, 422, 422, 403, 404, 400, 400]
    async with http.get(f"{witness.url}/add-checkpoint") as answer:
        assert answer.status == 405
    assert (await add(http, witness.url, TREE.submission(9, 12)))[0] == 200


async def test_a_monitor_gets_the_newest_checkpoint(
    witness: Process, http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    place = f"{witness.url}/{sha256(ORIGIN.encode()).hexdigest()}/checkpoint"
    async with http.get(place) as answer:
        assert answer.status == 404
    await add(http, witness.url, TREE.submission(0, 9))
    async with http.get(place) as answer:
        note = await answer.read()
    checkpoint = open_checkpoint(note, [LogKey(key=LOG.verifier_key)])
    assert checkpoint == TREE.checkpoint(9)
    assert set(witness_times(note, checkpoint, keys_of(tmp_path))) == {NAME}
    for other in (sha256(b"other").hexdigest(), "x" * 64, "../checkpoint"):
        async with http.get(f"{witness.url}/{other}/checkpoint") as answer:
            assert answer.status == 404


async def test_a_giant_body_is_refused_and_the_next_one_served(witness: Process, http: aiohttp.ClientSession) -> None:
    assert (await add(http, witness.url, b"old 0\n" + b"A" * 1_000_000))[0] == 413
    assert (await add(http, witness.url, TREE.submission(0, 9)))[0] == 200


async def test_a_slow_body_is_given_up_and_others_are_served_meanwhile(
    witness: Process, http: aiohttp.ClientSession
) -> None:
    host, port = witness.said["host"], witness.said["port"]
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(b"POST /add-checkpoint HTTP/1.1\r\nHost: w\r\nContent-Length: 1000\r\n\r\nold ")
    await writer.drain()
    assert (await add(http, witness.url, TREE.submission(0, 9)))[0] == 200
    async with asyncio.timeout(10):
        assert (await reader.readline()).startswith(b"HTTP/1.1 408")
    writer.close()
    await writer.wait_closed()


async def test_of_forks_that_race_over_http_one_is_cosigned(witness: Process, http: aiohttp.ClientSession) -> None:
    await add(http, witness.url, TREE.submission(0, 3))
    racers = [(source, size) for size in range(4, 24) for source in (TREE, FORK)]
    random.Random(7).shuffle(racers)
    answers = await asyncio.gather(*(add(http, witness.url, source.submission(3, size)) for source, size in racers))
    won = [size for (_, size), (status, *_) in zip(racers, answers, strict=True) if status == 200]
    assert len(won) == 1
    assert {text for status, _, text in answers if status == 409} == {f"{won[0]}\n"}


async def test_killed_again_and_again_it_never_forgets_what_it_answered(
    http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    """Submit ever larger trees while the process is killed at random moments; each answer must bind every later one."""
    dice = random.Random(11)
    environment = environment_of(tmp_path)
    answered = 0
    for _ in range(6):
        with witness_process(environment) as started:
            killer = asyncio.get_running_loop().call_later(
                dice.uniform(0.01, 0.12), started.process.send_signal, signal.SIGKILL
            )
            try:
                known = 0
                while known < 60:
                    status, _, text = await add(http, started.url, TREE.submission(known, min(known + 1, 60)))
                    if status == 409:
                        known = int(text)
                        assert known >= answered
                        continue
                    assert status == 200
                    known = answered = known + 1
            except aiohttp.ClientError:
                pass
            finally:
                killer.cancel()
    with witness_process(environment) as started:
        status, _, text = await add(http, started.url, FORK.submission(0, 60))
        assert (status, int(text) >= answered) == (409, True)
        kept = int(text)
        assert (await add(http, started.url, FORK.submission(kept, kept)))[0] == 422
        assert (await add(http, started.url, TREE.submission(kept, kept)))[0] == 200
    assert answered


async def test_it_stops_when_told_and_health_says_ready_before(http: aiohttp.ClientSession, tmp_path: Path) -> None:
    with witness_process(environment_of(tmp_path)) as started:
        async with http.get(f"{started.url}/healthz") as answer:
            assert answer.status == 200
        assert started.end(signal.SIGTERM) == 0
    for name in ("key.pem", "pq.pem", "store"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600, name


def test_help_names_every_setting_and_bad_ones_are_said(tmp_path: Path) -> None:
    shown = run(dict(os.environ), "--help")
    assert set(re.findall(r"TIERPROOF_WITNESS_(\w+)", shown.stdout)) >= {"NAME", "LOGS_FILE", "STORE_FILE", "HTTP_PORT"}
    for change, why in (
        ({"NAME": "two words"}, "TIERPROOF_WITNESS_NAME"),
        ({"HTTP_PORT": "x"}, "TIERPROOF_WITNESS_HTTP_PORT"),
        ({"LOGS_FILE": tmp_path / "none"}, "none"),
        ({"STORE_FILE": tmp_path}, str(tmp_path)),
    ):
        refused = run(environment_of(tmp_path) | environment_of(tmp_path, **change), "serve")
        assert (refused.returncode, why in refused.stderr) == (78, True), refused.stderr
        assert "Traceback" not in refused.stderr


def test_keys_without_their_store_do_not_serve(tmp_path: Path) -> None:
    assert run(environment_of(tmp_path), "keys").returncode == 0
    (tmp_path / "store").unlink()
    refused = run(environment_of(tmp_path), "serve")
    assert (refused.returncode, "retire both keys" in refused.stderr) == (78, True)
