"""The authority as a process: over HTTP, told to stop, killed, started again, given nonsense."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import aiohttp
import pytest
from asn1crypto import core, tsp
from cryptography.x509 import load_pem_x509_certificate
from rfc3161_client import TimestampRequestBuilder, VerifierBuilder, decode_timestamp_response
from tierproof_tsa.errors import StateUnusable
from tierproof_tsa.server import QUERY, REPLY, CannotListen, serving
from tierproof_tsa.settings import TsaSettings

NOTE = b"tierproof.local/ledger\n7\nqDrl\n"
AS_QUERY = {"Content-Type": QUERY}


def settings_in(folder: Path, **more: object) -> TsaSettings:
    files = {"key_file": folder / "key.pem", "certificate_file": folder / "tsa.pem", "state_file": folder / "state"}
    return TsaSettings.model_validate({"http_port": 0, "largest_query": 512, **files, **more})


@pytest.fixture
async def url(tmp_path: Path) -> AsyncIterator[str]:
    async with serving(settings_in(tmp_path, body_seconds=0.3)) as url:
        yield url


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


def failure_of(reply: bytes) -> set[str]:
    status = tsp.PKIStatusInfo.load(core.Sequence.load(reply, strict=True).contents, strict=True)
    assert status["status"].native == "rejection"
    return set(status["fail_info"].native)


def serial_of(reply: bytes) -> int:
    signed = tsp.TimeStampResp.load(reply)["time_stamp_token"]["content"]
    return int(signed["encap_content_info"]["content"].parsed["serial_number"])


async def stamped(http: aiohttp.ClientSession, url: str) -> bytes:
    query = TimestampRequestBuilder().data(NOTE).build().as_bytes()
    async with http.post(url, data=query, headers=AS_QUERY) as answer:
        assert answer.status == 200
        assert answer.content_type == REPLY
        return await answer.read()


@pytest.mark.requirement("LED-proof")
async def test_a_query_over_http_gets_a_token(url: str, http: aiohttp.ClientSession, tmp_path: Path) -> None:
    request = TimestampRequestBuilder().data(NOTE).build()
    async with http.post(url, data=request.as_bytes(), headers=AS_QUERY) as answer:
        assert (answer.status, answer.content_type) == (200, REPLY)
        reply = decode_timestamp_response(await answer.read())
    certificate = load_pem_x509_certificate((tmp_path / "tsa.pem").read_bytes())
    assert VerifierBuilder.from_request(request).add_root_certificate(certificate).build().verify_message(reply, NOTE)


async def test_many_at_once_get_different_serials(url: str, http: aiohttp.ClientSession) -> None:
    replies = await asyncio.gather(*(stamped(http, url) for _ in range(50)))
    assert len({serial_of(reply) for reply in replies}) == 50


async def test_nonsense_and_too_much_of_it_are_refused(url: str, http: aiohttp.ClientSession) -> None:
    async with http.post(url, data=b"hello", headers=AS_QUERY) as answer:
        assert answer.status == 200
        assert failure_of(await answer.read()) == {"bad_data_format"}
    async with http.post(url, data=bytes(513), headers=AS_QUERY) as answer:
        assert (answer.status, answer.content_type) == (413, REPLY)
        assert failure_of(await answer.read()) == {"bad_data_format"}


async def test_only_the_query_s_own_type_is_read(url: str, http: aiohttp.ClientSession) -> None:
    async with http.post(url, data=b"hello", headers={"Content-Type": "text/plain"}) as answer:
        assert answer.status == 415
    async with http.get(url) as answer:
        assert answer.status == 405
    for path in ("livez", "readyz"):
        async with http.get(url + path) as answer:
            assert answer.status == 200


async def test_a_client_that_never_ends_its_query_is_let_go(url: str) -> None:
    host, port = url.removeprefix("http://").rstrip("/").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(f"POST / HTTP/1.1\r\nHost: x\r\nContent-Type: {QUERY}\r\nContent-Length: 50\r\n\r\nab".encode())
    async with asyncio.timeout(10):
        assert b" 408 " in await reader.readline()
    writer.close()
    await writer.wait_closed()


async def test_a_taken_port_is_named(tmp_path: Path, url: str) -> None:
    port = int(url.rstrip("/").rpartition(":")[2])
    with pytest.raises(CannotListen, match=str(port)):
        async with serving(settings_in(tmp_path / "other", http_port=port)):
            pass


async def test_a_second_authority_on_the_same_files_does_not_start(tmp_path: Path, url: str) -> None:
    with pytest.raises(StateUnusable, match="another"):
        async with serving(settings_in(tmp_path)):
            pass


@contextmanager
def process(folder: Path, **more: str) -> Iterator[subprocess.Popen[str]]:
    names = {"key_file": "key.pem", "certificate_file": "tsa.pem", "state_file": "state"}
    files = {f"TIERPROOF_TSA_{name.upper()}": str(folder / file) for name, file in names.items()}
    environment = {"PATH": os.environ["PATH"], "TIERPROOF_TSA_HTTP_PORT": "0", "PYTHONUNBUFFERED": "1"}
    started = subprocess.Popen(
        [sys.executable, "-m", "tierproof_tsa", "serve"],
        env={**environment, **files, **more},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield started
    finally:
        started.kill()
        started.communicate()


def url_of(running: subprocess.Popen[str]) -> str:
    assert running.stdout is not None
    return f"http://127.0.0.1:{json.loads(running.stdout.readline())['port']}/"


async def test_told_to_stop_it_ends_in_order(tmp_path: Path, http: aiohttp.ClientSession) -> None:
    with process(tmp_path) as running:
        await stamped(http, url_of(running))
        running.send_signal(signal.SIGTERM)
        assert running.wait(15) == 0


async def test_killed_and_started_again_it_goes_on_in_order(tmp_path: Path, http: aiohttp.ClientSession) -> None:
    serials = []
    for _ in range(3):
        with process(tmp_path) as running:
            url = url_of(running)
            serials += [serial_of(await stamped(http, url)) for _ in range(3)]
    assert serials == sorted(set(serials))


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"TIERPROOF_TSA_STATE_FILE": "/proc/nobody/state"}, "/proc/nobody"),
        ({"TIERPROOF_TSA_HTTP_PORT": "many"}, "TIERPROOF_TSA_HTTP_PORT"),
        ({"TIERPROOF_TSA_POLICY": "ours"}, "TIERPROOF_TSA_POLICY"),
        ({"TIERPROOF_TSA_HTTP_HOST": "203.0.113.7"}, "203.0.113.7"),
    ],
)
def test_what_it_cannot_start_with_is_said_in_one_line(tmp_path: Path, more: dict[str, str], said: str) -> None:
    with process(tmp_path, **more) as running:
        _out, err = running.communicate(timeout=30)
        assert running.returncode == 78
        assert said in err
        assert "Traceback" not in err


def test_help_names_every_setting() -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "tierproof_tsa", "--help"], capture_output=True, text=True, check=True, timeout=30
    ).stdout
    for name in TsaSettings.model_fields:
        assert f"TIERPROOF_TSA_{name.upper()}" in shown


def test_a_missing_file_setting_is_named() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "tierproof_tsa", "serve"],
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert ended.returncode == 78
    assert "TIERPROOF_TSA_KEY_FILE is not set" in ended.stderr
