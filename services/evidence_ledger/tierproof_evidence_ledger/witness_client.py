"""One witness, asked over HTTP (c2sp.org/tlog-witness); nothing that it answers is believed before its signatures are."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus

import aiohttp
from tierproof_proofs.checkpoint import Checkpoint, parse_checkpoint
from tierproof_proofs.cosignature import cosignature_time
from tierproof_proofs.encoding import base64_of, number_of
from tierproof_proofs.errors import Malformed, ProofError
from tierproof_proofs.note import MOST_SIGNATURES, SignatureLine, VerifierKey, key_for, parse_line, parse_note

SIZE_TYPE = "text/x.tlog.size"
LARGEST_REPLY = MOST_SIGNATURES * 4096  # a line of ML-DSA-44 has 3.3 kB, and a note at most 100 lines


@dataclass(frozen=True, slots=True, kw_only=True)
class Cosigned:
    """Lines that the witness's keys have signed for this checkpoint, each verified, and those keys."""

    lines: tuple[SignatureLine, ...]
    keys: tuple[VerifierKey, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Remembers:
    """The witness has last cosigned a tree of another size than we said (409)."""

    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Contradicted:
    """The witness holds that this checkpoint does not continue what it has cosigned (422)."""

    because: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Unavailable:
    """The witness did not answer as one now: it may be asked again."""

    reason: str


Answer = Cosigned | Remembers | Contradicted | Unavailable


@dataclass(frozen=True, slots=True, kw_only=True)
class Freshness:
    """How many seconds a cosignature may be older than our question: an old answer played again says nothing about now."""

    seconds: float
    clock: Callable[[], float] = time.time


class WitnessClient:
    """A witness at a submission prefix, with the cosignature keys by which it is known."""

    def __init__(
        self, http: aiohttp.ClientSession, url: str, keys: Sequence[VerifierKey], *, seconds: float, fresh: Freshness
    ) -> None:
        self.name = keys[0].name
        self.keys = tuple(keys)
        self._http = http
        self._place = url.rstrip("/") + "/add-checkpoint"
        self._seconds = seconds
        self._fresh = fresh

    async def cosign(self, note: str, old_size: int, proof: Sequence[bytes]) -> Answer:
        """Submit a signed checkpoint that continues a tree of `old_size` leaves; `proof` leads from that size to the new one."""
        hashes = "".join(f"{base64_of(part)}\n" for part in proof)
        asked_at = self._fresh.clock()
        try:
            async with asyncio.timeout(self._seconds):
                status, kind, reply = await self._post(f"old {old_size}\n{hashes}\n{note}".encode())
            return self._understood(note, status, kind, reply, asked_at)
        except TimeoutError:
            return Unavailable(reason=f"no answer within {self._seconds:g} s")
        except (aiohttp.ClientError, OSError) as error:
            return Unavailable(reason=type(error).__name__)
        except (ProofError, UnicodeDecodeError):
            return Unavailable(reason="its answer is none of a witness")

    async def _post(self, body: bytes) -> tuple[int, str, bytes]:
        async with self._http.post(self._place, data=body, allow_redirects=False) as answer:
            reply = bytearray()
            async for chunk in answer.content.iter_any():
                reply += chunk
                if len(reply) > LARGEST_REPLY:
                    raise Malformed("an answer larger than any witness gives")
            return answer.status, answer.content_type, bytes(reply)

    def _understood(self, note: str, status: int, kind: str, reply: bytes, asked_at: float) -> Answer:
        match status:
            case HTTPStatus.OK:
                return self._verified(note, reply.decode(), asked_at)
            case HTTPStatus.CONFLICT if kind == SIZE_TYPE and reply.endswith(b"\n"):
                return Remembers(size=number_of(reply[:-1].decode(), "size"))
            case HTTPStatus.UNPROCESSABLE_ENTITY:
                return Contradicted(because="it has cosigned another history")
            case HTTPStatus.NOT_FOUND | HTTPStatus.FORBIDDEN:
                return Unavailable(reason=f"it does not know this log or its key ({status})")
            case _:
                return Unavailable(reason=f"it answers with status {status}")

    def _verified(self, note: str, reply: str, asked_at: float) -> Cosigned | Unavailable:
        body = parse_note(note.encode()).text
        checkpoint = parse_checkpoint(body)
        if not reply.endswith("\n"):
            raise Malformed("cosignatures: the last line has no newline")
        right: dict[VerifierKey, SignatureLine] = {}
        for line in map(parse_line, reply[:-1].split("\n")):
            key = key_for(line, self.keys)
            if key is None:
                continue
            if (why := self._doubted(key, line, body, checkpoint, asked_at)) is not None:
                return Unavailable(reason=why)
            right[key] = line
        if not right:
            return Unavailable(reason="none of its known keys has cosigned")
        return Cosigned(lines=tuple(right.values()), keys=tuple(right))

    def _doubted(
        self, key: VerifierKey, line: SignatureLine, body: str, checkpoint: Checkpoint, asked_at: float
    ) -> str | None:
        stamped = cosignature_time(key, line.signature, body, checkpoint)
        if stamped is None:
            return f"the cosignature of {key.label} is wrong"
        if stamped < asked_at - self._fresh.seconds:
            return (
                f"the cosignature of {key.label} is {asked_at - stamped:.0f} s old: an earlier answer, or a wrong clock"
            )
        return None
