"""The ledger before its witnesses: real witnesses in memory, and ones that lie, sleep, forget or are played by somebody else."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tierproof_evidence_ledger.errors import NotConfigured
from tierproof_evidence_ledger.witness_client import (
    SIZE_TYPE,
    Contradicted,
    Cosigned,
    Freshness,
    Remembers,
    Unavailable,
    WitnessClient,
)
from tierproof_evidence_ledger.witnessing import Outgrown, Patience, Unwitnessed, Witnesses, witnesses_at
from tierproof_proofs.cosignature import Cosigner
from tierproof_proofs.keys import Ed25519Signer
from tierproof_proofs.log_key import LogKey, open_checkpoint
from tierproof_proofs.note import VerifierKey
from tierproof_proofs.policy import policy_of
from tierproof_proofs.tlog_proof import witness_times
from tierproof_witness import witness as program
from tierproof_witness.decide import Conflict, Refused
from tierproof_witness.logs import Logs
from tierproof_witness.store import Store

from tests.unit.witness.witness_parts import LOG, TIME, Tree, logs_file

pytestmark = pytest.mark.requirement("LED-proof")
TREE = Tree(40)
FORK = Tree(40, branch="b", common=3)
QUICK = Patience(answer=0.05, late=0.01, pause=0.001, age=300.0)


@dataclass
class Reply:
    """What comes back over the wire."""

    status: int
    body: bytes
    content_type: str = "text/plain"
    content: Any = None

    def __post_init__(self) -> None:
        self.content = self

    async def iter_any(self) -> AsyncIterator[bytes]:
        yield self.body


Server = Callable[[bytes], Reply]


class Wire:
    """Stands where an HTTP session would: carries bodies to servers in memory. `asked` are the `old` lines, in their order."""

    def __init__(self, servers: dict[str, Server]) -> None:
        self.servers = servers
        self.asked: list[str] = []

    @asynccontextmanager
    async def post(self, url: str, data: bytes, *, allow_redirects: bool) -> AsyncIterator[Reply]:
        assert not allow_redirects
        assert url.endswith("/add-checkpoint")
        self.asked.append(data.split(b"\n")[0].decode())
        reply = self.servers[url.removesuffix("/add-checkpoint")](data)
        if reply.status == 0:
            await asyncio.Event().wait()
        yield reply


class Seat:
    """A witness of its own name with a store of its own."""

    def __init__(self, folder: Path, name: str) -> None:
        folder.mkdir()
        self.cosigner = Cosigner(name=name, signer=Ed25519Signer.from_seed(name.encode().ljust(32, b".")))
        self.store = Store(folder / "store", busy_seconds=1)
        self.witness = program.Witness(
            cosigners=(self.cosigner,), store=self.store, logs=Logs(logs_file(folder)), clock=lambda: TIME
        )

    @property
    def key(self) -> VerifierKey:
        return self.cosigner.verifier_key

    def serve(self, body: bytes) -> Reply:
        match self.witness.submit(body):
            case Conflict(size=size):
                return Reply(409, b"%d\n" % size, SIZE_TYPE)
            case Refused(reason=reason, because=because):
                return Reply(int(reason), because.encode())
            case cosigned:
                return Reply(200, cosigned.lines.encode())


@pytest.fixture
def seats(tmp_path: Path) -> Iterator[list[Seat]]:
    made = [Seat(tmp_path / str(number), f"w{number}.example") for number in range(3)]
    yield made
    for seat in made:
        seat.store.close()


def asleep(_body: bytes) -> Reply:
    return Reply(0, b"")


def always(reply: Reply) -> Server:
    return lambda _body: reply


def gone(_body: bytes) -> Reply:
    raise aiohttp.ClientConnectionError


def client_of(wire: Wire, url: str, keys: Sequence[VerifierKey], now: float = TIME) -> WitnessClient:
    fresh = Freshness(seconds=60, clock=lambda: now)
    return WitnessClient(wire, url, keys, seconds=QUICK.answer, fresh=fresh)  # type: ignore[arg-type] # a wire in memory


def witnesses_of(wire: Wire, seats: Sequence[Seat], quorum: int, tree: Tree = TREE) -> Witnesses:
    policy = policy_of([LOG.verifier_key], [seat.key for seat in seats], quorum)
    clients = [client_of(wire, f"http://{seat.key.name}", [seat.key]) for seat in seats]
    return Witnesses(clients, policy.satisfied_by, tree.proof, QUICK)


def wire_to(seats: Sequence[Seat], **other: Server) -> Wire:
    return Wire({f"http://{seat.key.name}": other.get(seat.key.name[:2], seat.serve) for seat in seats})


def names(note: str, seats: Sequence[Seat]) -> set[str]:
    checkpoint = open_checkpoint(note.encode(), [LogKey(key=LOG.verifier_key)])
    return set(witness_times(note.encode(), checkpoint, [seat.key for seat in seats]))


async def test_a_growing_ledger_is_cosigned_by_all_and_asks_each_once(seats: list[Seat]) -> None:
    wire = wire_to(seats)
    witnesses = witnesses_of(wire, seats, 3)
    await witnesses.agreed(TREE.note(0), 0)
    for size in (1, 7, 7, 30):
        assert names(await witnesses.cosigned(TREE.note(size), size), seats) == {seat.key.name for seat in seats}
    assert wire.asked == [f"old {old}" for old in (0, 0, 1, 7, 7) for _ in seats]
    assert witnesses.missing == {}


async def test_a_witness_that_remembers_less_gets_the_proof_from_there(seats: list[Seat]) -> None:
    first = witnesses_of(wire_to(seats), seats, 3)
    await first.cosigned(TREE.note(5), 5)
    seats[0].witness.submit(TREE.submission(5, 8))
    wire = wire_to(seats)
    await witnesses_of(wire, seats, 3).agreed(TREE.note(20), 20)
    assert sorted(wire.asked) == sorted(["old 20"] * 3 + ["old 8", "old 5", "old 5"])


@pytest.mark.requirement("LED-append")
@pytest.mark.parametrize("size", [0, 1, 9])
async def test_a_ledger_that_lost_entries_is_refused_at_the_start_of_a_term(seats: list[Seat], size: int) -> None:
    await witnesses_of(wire_to(seats), seats, 3).cosigned(TREE.note(10), 10)
    witnesses = witnesses_of(wire_to(seats, w0=gone, w1=gone), seats, 1)
    with pytest.raises(Outgrown) as refusal:
        await witnesses.agreed(TREE.note(size), size)
    said = refusal.value.diagnosis()
    assert said.startswith(f"witness w2.example has cosigned 10 entries, and here are {size}: ")
    assert "\n" not in said


@pytest.mark.parametrize(("size", "why"), [(10, "continuation of 10"), (12, "continuation of 10"), (9, "here are 9")])
async def test_another_history_is_refused(seats: list[Seat], size: int, why: str) -> None:
    await witnesses_of(wire_to(seats), seats, 3).cosigned(TREE.note(10), 10)
    forked = witnesses_of(wire_to(seats), seats, 1, FORK)
    for ask in (forked.cosigned, forked.agreed):
        with pytest.raises(Outgrown, match=why):
            await ask(FORK.note(size), size)


@given(known=st.integers(0, 20), size=st.integers(0, 20), forked=st.booleans(), first=st.integers(0, 20))
@settings(deadline=None, max_examples=60)
async def test_a_ledger_is_cosigned_if_and_only_if_it_continues_what_is_known(
    *, tmp_path_factory: pytest.TempPathFactory, known: int, size: int, forked: bool, first: int
) -> None:
    """The two trees have their first three leaves in common."""
    seat = Seat(tmp_path_factory.mktemp("seat") / "w", "w.example")
    for new in sorted({min(first, known), known}):
        await witnesses_of(wire_to([seat]), [seat], 1).cosigned(TREE.note(new), new)
    tree = FORK if forked else TREE
    asking = witnesses_of(wire_to([seat]), [seat], 1, tree)
    if size >= known and (not forked or known <= 3):
        assert names(await asking.cosigned(tree.note(size), size), [seat]) == {"w.example"}
    else:
        with pytest.raises(Outgrown):
            await asking.cosigned(tree.note(size), size)
    seat.store.close()


async def test_a_witness_outside_the_quorum_is_believed_when_it_knows_more(seats: list[Seat]) -> None:
    seats[2].witness.submit(TREE.submission(0, 11))
    with pytest.raises(Outgrown, match=r"w2\.example has cosigned 11"):
        await witnesses_of(wire_to(seats), seats, 1).cosigned(TREE.note(10), 10)


async def test_the_quorum_decides_and_the_missing_are_named(seats: list[Seat]) -> None:
    witnesses = witnesses_of(wire_to(seats, w0=asleep), seats, 2)
    assert names(await witnesses.cosigned(TREE.note(4), 4), seats) == {"w1.example", "w2.example"}
    assert witnesses.missing == {"w0.example": "late"}
    witnesses = witnesses_of(wire_to(seats, w0=asleep, w1=gone), seats, 2)
    with pytest.raises(Unwitnessed, match=r"w0\.example: no answer within 0\.05 s; w1\.example: ClientConnection"):
        await witnesses.cosigned(TREE.note(5), 5)
    assert set(witnesses.missing) == {"w0.example", "w1.example"}


async def test_without_a_quorum_the_witnesses_are_still_asked(seats: list[Seat]) -> None:
    witnesses = witnesses_of(wire_to(seats, w0=gone), seats, 0)
    assert names(await witnesses.cosigned(TREE.note(4), 4), seats) == {"w1.example", "w2.example"}


async def test_a_term_waits_until_a_quorum_has_answered(seats: list[Seat]) -> None:
    down = 3

    def flaky(body: bytes) -> Reply:
        nonlocal down
        down -= 1
        return gone(body) if down >= 0 else seats[1].serve(body)

    wire = wire_to(seats, w0=gone, w1=flaky)
    await witnesses_of(wire, seats, 2).agreed(TREE.note(6), 6)
    assert down == -2  # told the size it remembers, then cosigned


async def test_two_sequencers_that_push_at_once_end_at_the_larger_size(seats: list[Seat]) -> None:
    slow, quick = witnesses_of(wire_to(seats), seats, 3), witnesses_of(wire_to(seats), seats, 3)
    await slow.cosigned(TREE.note(4), 4)
    await quick.cosigned(TREE.note(9), 9)
    with pytest.raises(Outgrown, match="has cosigned 9"):
        await slow.cosigned(TREE.note(7), 7)


def replies(seat: Seat, other: Seat, size: int) -> dict[str, Reply]:
    checkpoint = TREE.checkpoint(size)
    right, elsewhere = seat.cosigner.cosign(checkpoint, TIME), other.cosigner.cosign(checkpoint, TIME)
    wrong = seat.cosigner.cosign(TREE.checkpoint(size + 1), TIME)
    old = seat.cosigner.cosign(checkpoint, TIME - 61)
    return {
        "right": Reply(200, f"{elsewhere}{right}".encode()),
        "another's": Reply(200, str(elsewhere).encode()),
        "wrong": Reply(200, str(wrong).encode()),
        "right and wrong": Reply(200, f"{right}{wrong}".encode()),
        "old": Reply(200, str(old).encode()),
        "nothing": Reply(200, b""),
        "no newline": Reply(200, str(right).encode()[:-1]),
        "no text": Reply(200, b"\xff\n"),
        "a page": Reply(200, b"<html>\n", "text/html"),
        "no size": Reply(409, b"many\n", SIZE_TYPE),
        "a page as size": Reply(409, b"9\n", "text/html"),
        "unknown log": Reply(404, b""),
        "unknown key": Reply(403, b""),
        "broken": Reply(500, b"9\n", SIZE_TYPE),
        "elsewhere": Reply(307, b""),
    }


async def test_only_fresh_and_right_cosignatures_of_known_keys_are_believed(seats: list[Seat]) -> None:
    found = {}
    for name, reply in replies(seats[0], seats[1], 4).items():
        client = client_of(Wire({"http://w": always(reply)}), "http://w", [seats[0].key])
        found[name] = await client.cosign(TREE.note(4), 0, ())
    right = found.pop("right")
    assert isinstance(right, Cosigned)
    assert [line.name for line in right.lines] == ["w0.example"]
    assert {name for name, answer in found.items() if not isinstance(answer, Unavailable)} == set()


class Endless(Reply):
    """An answer that does not end."""

    async def iter_any(self) -> AsyncIterator[bytes]:
        while True:
            await asyncio.sleep(0)
            yield bytes(100_000)


async def test_an_endless_answer_is_cut_off_before_the_time_is_up(seats: list[Seat]) -> None:
    wire = Wire({"http://w": always(Endless(200, b""))})
    answer = await client_of(wire, "http://w", [seats[0].key]).cosign(TREE.note(4), 0, ())
    assert answer == Unavailable(reason="its answer is none of a witness")


async def test_what_a_witness_says_of_sizes_and_histories(seats: list[Seat]) -> None:
    client = client_of(wire_to(seats), "http://w0.example/", [seats[0].key])
    assert isinstance(await client.cosign(TREE.note(4), 0, ()), Cosigned)
    assert await client.cosign(TREE.note(9), 0, ()) == Remembers(size=4)
    assert isinstance(await client.cosign(FORK.note(9), 4, FORK.proof(4, 9)), Contradicted)


async def test_a_witness_that_changes_its_mind_is_not_waited_for(seats: list[Seat]) -> None:
    sizes = iter(range(100))
    wire = wire_to(seats, w0=lambda _body: Reply(409, b"%d\n" % next(sizes), SIZE_TYPE))
    witnesses = witnesses_of(wire, seats, 3)
    with pytest.raises(Unwitnessed, match=r"w0\.example: it changes its mind"):
        await witnesses.cosigned(TREE.note(30), 30)


async def test_a_proof_that_cannot_be_built_is_not_hidden(seats: list[Seat]) -> None:
    await witnesses_of(wire_to(seats), seats, 3).cosigned(TREE.note(4), 4)
    witnesses = witnesses_of(wire_to(seats), seats, 3)

    def broken(_old: int, _new: int) -> list[bytes]:
        raise RuntimeError("no database")

    witnesses._proof = broken
    with pytest.raises(RuntimeError, match="no database"):
        await witnesses.cosigned(TREE.note(9), 9)


async def test_proofs_are_built_one_at_a_time_also_when_somebody_is_too_late(seats: list[Seat]) -> None:
    seats[0].witness.submit(TREE.submission(0, 4))
    seats[1].witness.submit(TREE.submission(0, 5))
    at_work, release, together = 0, threading.Event(), 0

    def proof(old: int, new: int) -> list[bytes]:
        nonlocal at_work, together
        at_work += 1
        together = max(together, at_work)
        release.wait(5)
        at_work -= 1
        return TREE.proof(old, new)

    witnesses = witnesses_of(wire_to(seats), seats, 1)
    witnesses._proof = proof
    asyncio.get_running_loop().call_later(0.05, release.set)
    assert names(await witnesses.cosigned(TREE.note(9), 9), seats) == {"w2.example"}
    assert set(witnesses.missing) == {"w0.example", "w1.example"}
    assert (together, at_work) == (1, 0)


async def test_a_policy_must_name_where_its_quorum_is_reached(tmp_path: Path, seats: list[Seat]) -> None:
    path = tmp_path / "policy"
    keys = [seat.key for seat in seats]
    path.write_text(str(policy_of([LOG.verifier_key], keys, 2, {"w0.example": "http://127.0.0.1:1"})))
    with pytest.raises(NotConfigured, match="too few for its quorum"):
        async with witnesses_at(path, TREE.proof, QUICK):
            raise AssertionError
    with pytest.raises(NotConfigured, match="No such file"):
        async with witnesses_at(tmp_path / "none", TREE.proof, QUICK):
            raise AssertionError
