"""Stamps are asked for over HTTP: of the delivered authority, and of servers that fail in every way."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer, unused_port
from tierproof_evidence_ledger.timestamps import (
    REPLY,
    Authority,
    StampRefused,
    StampUnavailable,
    StampUnproven,
    certificates_in,
    stamp,
    verify_stamp,
)
from tierproof_tsa.query import Failure, Refused
from tierproof_tsa.server import serving
from tierproof_tsa.settings import TsaSettings
from tierproof_tsa.token import refusal

NOTE = b"tierproof.local/ledger\n7\nqDrl\n"
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@pytest.fixture
async def authority(tmp_path: Path) -> AsyncIterator[Authority]:
    files = {"key_file": tmp_path / "key", "certificate_file": tmp_path / "tsa.pem", "state_file": tmp_path / "state"}
    async with serving(TsaSettings.model_validate({"http_port": 0, **files})) as url:
        yield authority_at(url, tmp_path)


def authority_at(url: str, folder: Path) -> Authority:
    return Authority(url=url, certificates=certificates_in(folder / "tsa.pem"), seconds=0.5, largest_reply=20_000)


@asynccontextmanager
async def answering(handler: Handler) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_post("/", handler)
    async with TestServer(app) as server:
        yield str(server.make_url("/"))


@pytest.mark.requirement("LED-proof")
async def test_a_note_is_stamped_and_the_stamp_verifies_offline(authority: Authority) -> None:
    reply = await stamp(authority, NOTE)
    first = verify_stamp(reply, NOTE, authority.certificates)
    assert verify_stamp(await stamp(authority, NOTE), NOTE, authority.certificates) >= first


async def test_a_replayed_stamp_is_not_taken(authority: Authority, tmp_path: Path) -> None:
    old = await stamp(authority, NOTE)

    async def replay(_request: web.Request) -> web.Response:
        return web.Response(body=old, content_type=REPLY)

    async with answering(replay) as url:
        with pytest.raises(StampUnproven, match="Nonce"):
            await stamp(authority_at(url, tmp_path), NOTE)


async def test_a_stamp_of_somebody_else_is_not_taken(authority: Authority, tmp_path: Path) -> None:
    other = tmp_path / "other"
    files = {"key_file": other / "key", "certificate_file": other / "tsa.pem", "state_file": other / "state"}
    async with serving(TsaSettings.model_validate({"http_port": 0, **files})) as url:
        with pytest.raises(StampUnproven, match=url):
            await stamp(authority_at(url, tmp_path), NOTE)


async def test_a_refusal_names_the_authority_and_its_reason(authority: Authority, tmp_path: Path) -> None:
    async def refuse(_request: web.Request) -> web.Response:
        why = Refused(failure=Failure.TIME_NOT_AVAILABLE, because="the clock is being mended")
        return web.Response(body=refusal(why), content_type=REPLY)

    async with answering(refuse) as url:
        with pytest.raises(StampRefused, match=f"{url}: no token: the clock is being mended"):
            await stamp(authority_at(url, tmp_path), NOTE)


async def test_nobody_is_followed_elsewhere(authority: Authority, tmp_path: Path) -> None:
    async def elsewhere(_request: web.Request) -> web.Response:
        raise web.HTTPTemporaryRedirect(authority.url)

    async with answering(elsewhere) as url:
        with pytest.raises(StampUnavailable, match="HTTP status 307"):
            await stamp(authority_at(url, tmp_path), NOTE)


async def _never(_request: web.Request) -> web.Response:
    await asyncio.sleep(30)
    return web.Response()


async def _drip(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": REPLY})
    await response.prepare(request)
    while True:
        await response.write(b"0")
        await asyncio.sleep(0.05)


async def _flood(_request: web.Request) -> web.Response:
    return web.Response(body=bytes(30_000), content_type=REPLY)


async def _page(_request: web.Request) -> web.Response:
    return web.Response(text="<html>", content_type="text/html")


async def _broken(_request: web.Request) -> web.Response:
    raise web.HTTPInternalServerError


async def _nonsense(_request: web.Request) -> web.Response:
    return web.Response(body=b"nonsense", content_type=REPLY)


@pytest.mark.parametrize(
    ("handler", "error", "words"),
    [
        (_never, StampUnavailable, "no answer within 0.5 s"),
        (_drip, StampUnavailable, "no answer within 0.5 s"),
        (_flood, StampUnavailable, "larger than 20000 bytes"),
        (_page, StampUnavailable, "answers text/html"),
        (_broken, StampUnavailable, "HTTP status 500"),
        (_nonsense, StampUnproven, "not a time-stamp reply"),
    ],
)
async def test_every_failure_has_its_words(
    authority: Authority, tmp_path: Path, handler: Handler, error: type[Exception], words: str
) -> None:
    async with answering(handler) as url:
        with pytest.raises(error, match=words) as caught:
            await stamp(authority_at(url, tmp_path), NOTE)
    assert url in str(caught.value)


async def test_nobody_at_home_is_said(authority: Authority, tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{unused_port()}/"
    with pytest.raises(StampUnavailable, match=url):
        await stamp(authority_at(url, tmp_path), NOTE)


@pytest.mark.parametrize("url", ["nowhere", "ftp://127.0.0.1/", "http://"])
async def test_an_address_that_is_none_is_said(authority: Authority, tmp_path: Path, url: str) -> None:
    with pytest.raises(StampUnavailable, match=url):
        await stamp(authority_at(url, tmp_path), NOTE)
