"""The rules of c2sp.org/tlog-witness, add-checkpoint, one by one, and that no sequence of submissions makes a witness sign a fork."""

import threading
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tierproof_proofs.checkpoint import Checkpoint, sign_checkpoint
from tierproof_proofs.cosignature import cosignature_time
from tierproof_proofs.errors import ProofError
from tierproof_proofs.merkle import EMPTY_ROOT, verify_consistency
from tierproof_proofs.note import LINE_START, NoteSigner, parse_line, parse_note
from tierproof_witness.decide import Conflict, Reason, Refused
from tierproof_witness.errors import LogsUnreadable, MemoryLost, NotConfigured, StoreUnusable
from tierproof_witness.identity import Files, establish
from tierproof_witness.logs import Logs
from tierproof_witness.store import Store
from tierproof_witness.witness import Cosigned, Witness

from tests.unit.witness.witness_parts import (
    COSIGNERS,
    LOG,
    LOG_PQ,
    MALLORY,
    ORIGIN,
    TIME,
    Tree,
    body,
    logs_file,
    open_witness,
)

pytestmark = pytest.mark.requirement("LED-proof")
TREE = Tree(40)
FORK = Tree(40, branch="b", common=3)


@pytest.fixture
def witness(tmp_path: Path) -> Iterator[Witness]:
    opened = open_witness(tmp_path)
    yield opened
    opened.store.close()


def _refused(answer: object) -> Reason:
    assert isinstance(answer, Refused), answer
    return answer.reason


def _cosigned(answer: object, checkpoint: Checkpoint) -> list[int]:
    """Return the times of the cosignatures, each verified."""
    assert isinstance(answer, Cosigned), answer
    lines = [parse_line(line) for line in answer.lines.splitlines()]
    assert len(lines) == len(COSIGNERS)
    times = [
        cosignature_time(cosigner.verifier_key, line.signature, str(checkpoint), checkpoint)
        for cosigner, line in zip(COSIGNERS, lines, strict=True)
    ]
    assert None not in times
    return [time for time in times if time is not None]


def test_a_log_that_grows_is_cosigned_with_both_keys(witness: Witness) -> None:
    for old, new in ((0, 1), (1, 5), (5, 5), (5, 32), (32, 40)):
        assert _cosigned(witness.submit(TREE.submission(old, new)), TREE.checkpoint(new)) == [TIME, TIME]


def test_an_empty_log_is_cosigned_and_may_grow(witness: Witness) -> None:
    assert TREE.checkpoint(0).root == EMPTY_ROOT
    for old, new in ((0, 0), (0, 0), (0, 7)):
        _cosigned(witness.submit(TREE.submission(old, new)), TREE.checkpoint(new))
    assert witness.submit(TREE.submission(0, 0)) == Conflict(size=7)


def test_an_empty_log_has_the_hash_of_nothing_as_root(witness: Witness) -> None:
    wrong = sign_checkpoint(Checkpoint(origin=ORIGIN, size=0, root=bytes(32)), LOG)
    assert _refused(witness.submit(body(0, [], wrong))) is Reason.INCONSISTENT


@pytest.mark.parametrize("old", [0, 3, 9, 12])
def test_another_old_size_is_told_the_recorded_one(witness: Witness, old: int) -> None:
    witness.submit(TREE.submission(0, 10))
    assert witness.submit(TREE.submission(old, 12)) == Conflict(size=10)


def test_a_smaller_tree_is_never_cosigned(witness: Witness) -> None:
    witness.submit(TREE.submission(0, 10))
    for new in range(10):
        assert witness.submit(TREE.submission(min(new, 5), new)) == Conflict(size=10)
        assert _refused(witness.submit(body(10, [], TREE.note(new)))) is Reason.MALFORMED


def test_the_same_size_with_another_root_is_never_cosigned(witness: Witness) -> None:
    witness.submit(TREE.submission(0, 10))
    assert _refused(witness.submit(FORK.submission(10, 10))) is Reason.INCONSISTENT
    assert witness.submit(FORK.submission(0, 10)) == Conflict(size=10)


def test_a_wrong_proof_is_never_cosigned(witness: Witness) -> None:
    witness.submit(TREE.submission(0, 10))
    right = TREE.proof(10, 20)
    for proof in ([], right[:-1], [*right, bytes(32)], [bytes(32), *right[1:]], right[::-1], TREE.proof(9, 20)):
        assert _refused(witness.submit(body(10, proof, TREE.note(20)))) is Reason.INCONSISTENT
    assert _refused(witness.submit(FORK.submission(10, 20))) is Reason.INCONSISTENT
    _cosigned(witness.submit(TREE.submission(10, 20)), TREE.checkpoint(20))


def test_a_proof_from_nothing_is_empty(witness: Witness) -> None:
    assert _refused(witness.submit(body(0, [bytes(32)], TREE.note(4)))) is Reason.INCONSISTENT


def test_an_unknown_origin_is_not_found(witness: Witness) -> None:
    other = NoteSigner(name="other.example", signer=LOG.signer)
    note = sign_checkpoint(Checkpoint(origin="other.example", size=1, root=bytes(32)), other)
    assert _refused(witness.submit(body(0, [], note))) is Reason.UNKNOWN_LOG


def test_a_checkpoint_that_its_log_has_not_signed_is_forbidden(witness: Witness) -> None:
    assert _refused(witness.submit(TREE.submission(0, 4, MALLORY))) is Reason.NOT_SIGNED
    text, lines = str(TREE.checkpoint(4)), TREE.note(5).split("\n\n")[1]
    assert _refused(witness.submit(body(0, [], f"{text}\n{lines}"))) is Reason.NOT_SIGNED
    elsewhere = NoteSigner(name="other.example", signer=LOG.signer)
    assert _refused(witness.submit(body(0, [], sign_checkpoint(TREE.checkpoint(4), elsewhere)))) is Reason.NOT_SIGNED


def test_one_wrong_signature_of_a_known_key_is_enough_to_refuse(witness: Witness) -> None:
    wrong = LOG_PQ.cosign(TREE.checkpoint(5), TIME)
    assert _refused(witness.submit(body(0, [], f"{TREE.note(4)}{wrong}"))) is Reason.NOT_SIGNED
    right = LOG_PQ.cosign(TREE.checkpoint(4), TIME)
    unknown = MALLORY.sign("anything\n")
    _cosigned(witness.submit(body(0, [], f"{TREE.note(4)}{right}{unknown}")), TREE.checkpoint(4))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"old 0\n",
        b"old 0\n\n",
        b"old 0\n\nnothing\n\n" + LINE_START.encode() + b"x AAAA\n",
        TREE.submission(0, 4).replace(b"old 0", b"old 00"),
        TREE.submission(0, 4).replace(b"old 0", b"old -1"),
        TREE.submission(0, 4).replace(b"old 0", b"old  0"),
        TREE.submission(0, 4).replace(b"old 0", b"Old 0"),
        TREE.submission(0, 4).replace(b"old 0", b"old 18446744073709551616"),
        TREE.submission(0, 4).replace(b"old 0\n", b"old 0\nAAAA\n"),
        TREE.submission(0, 4).replace(b"old 0\n", b"old 0\n!\n"),
        TREE.submission(0, 4).replace(b"old 0\n", b"old 0\n\xff\n"),
        body(1, [bytes(32)] * 64, TREE.note(4)),
        body(5, [], TREE.note(4)),
        TREE.submission(0, 4)[:-1],
    ],
)
def test_what_is_no_submission_is_a_bad_request(witness: Witness, content: bytes) -> None:
    assert _refused(witness.submit(content)) is Reason.MALFORMED


@given(st.binary(max_size=300))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_are_refused_by_name(witness: Witness, content: bytes) -> None:
    assert isinstance(witness.submit(content), Refused)


def test_the_largest_sizes_are_remembered(witness: Witness) -> None:
    huge = 2**64 - 1
    note = sign_checkpoint(Checkpoint(origin=ORIGIN, size=huge, root=bytes(32)), LOG)
    assert isinstance(witness.submit(body(0, [], note)), Cosigned)
    assert witness.submit(TREE.submission(0, 4)) == Conflict(size=huge)


# What an attacker who holds the log's key submits: the fork or not, old and new size, and whether the witness restarts before it.
STEPS = st.lists(
    st.tuples(st.booleans(), st.integers(0, 12), st.integers(0, 12), st.booleans()), min_size=1, max_size=25
)


@given(STEPS)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_whatever_a_log_submits_what_is_cosigned_is_one_history(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[bool, int, int, bool]]
) -> None:
    folder = tmp_path_factory.mktemp("witness")
    witness = open_witness(folder)
    tree, fork = Tree(12), Tree(12, branch="b", common=4)
    cosigned: list[tuple[Tree, int]] = []
    for forked, old, new, restarted in steps:
        if restarted:
            witness.store.close()
            witness = open_witness(folder)
        source = fork if forked else tree
        if isinstance(witness.submit(source.submission(old, new)), Cosigned):
            cosigned.append((source, new))
    witness.store.close()
    sizes = [size for _, size in cosigned]
    assert sizes == sorted(sizes)
    roots = {(size, source.checkpoint(size).root) for source, size in cosigned}
    assert len({size for size, _ in roots}) == len(roots)
    for first, second in zip(sorted(roots), sorted(roots)[1:], strict=False):
        if first[0]:
            proofs = [each.proof(first[0], second[0]) for each in (tree, fork)]
            assert any(_holds(first, second, proof) for proof in proofs)


def _holds(first: tuple[int, bytes], second: tuple[int, bytes], proof: list[bytes]) -> bool:
    try:
        verify_consistency(first[0], second[0], first[1], second[1], proof)
    except ProofError:
        return False
    return True


def test_of_many_submissions_at_once_one_history_is_cosigned(tmp_path: Path) -> None:
    """Two witnesses share a store as two processes would; sixteen threads push two forks from the same size."""
    witnesses = [open_witness(tmp_path), open_witness(tmp_path)]
    witnesses[0].submit(TREE.submission(0, 3))
    answers: list[tuple[bool, int, object]] = []
    start = threading.Barrier(16)

    def push(number: int) -> None:
        forked, size = number % 2 == 1, 4 + number // 2
        start.wait()
        answers.append((forked, size, witnesses[number % 2].submit((FORK if forked else TREE).submission(3, size))))

    threads = [threading.Thread(target=push, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    won = [(forked, size) for forked, size, answer in answers if isinstance(answer, Cosigned)]
    assert len(won) == 1
    assert all(answer == Conflict(size=won[0][1]) for *_, answer in answers if not isinstance(answer, Cosigned))
    for each in witnesses:
        each.store.close()


class Died(BaseException):
    """The process ends here."""


def test_a_crash_after_the_record_costs_no_more_than_a_second_question(tmp_path: Path) -> None:
    witness = open_witness(tmp_path)
    witness.submit(TREE.submission(0, 3))
    with patch("tierproof_witness.witness.Cosigned", side_effect=Died), pytest.raises(Died):
        witness.submit(TREE.submission(3, 8))
    again = open_witness(tmp_path)  # the first one's connection is still open, as a killed process leaves it
    assert again.submit(TREE.submission(3, 8)) == Conflict(size=8)
    assert isinstance(again.submit(TREE.submission(8, 8)), Cosigned)
    assert _refused(again.submit(FORK.submission(8, 8))) is Reason.INCONSISTENT
    again.store.close()
    witness.store.close()


def test_a_crash_before_the_record_records_and_answers_nothing(tmp_path: Path) -> None:
    witness = open_witness(tmp_path)
    witness.submit(TREE.submission(0, 3))
    with patch("tierproof_witness.store.Turn.record", side_effect=Died), pytest.raises(Died):
        witness.submit(TREE.submission(3, 8))
    assert witness.submit(TREE.submission(8, 9)) == Conflict(size=3)
    witness.store.close()


def test_a_store_that_is_held_or_closed_lets_no_cosignature_out(tmp_path: Path) -> None:
    holder = Store(tmp_path / "store", busy_seconds=1)
    held = Witness(
        cosigners=COSIGNERS,
        store=Store(tmp_path / "store", busy_seconds=0.01),
        logs=Logs(logs_file(tmp_path)),
        clock=lambda: TIME,
    )
    with holder.turn(ORIGIN), pytest.raises(StoreUnusable, match="locked"):
        held.submit(TREE.submission(0, 3))
    _cosigned(held.submit(TREE.submission(0, 3)), TREE.checkpoint(3))
    held.store.close()
    with pytest.raises(StoreUnusable):
        held.submit(TREE.submission(3, 4))
    holder.close()


def test_the_store_itself_refuses_to_go_back(tmp_path: Path) -> None:
    witness = open_witness(tmp_path)
    witness.submit(TREE.submission(0, 5))
    rows = witness.store._rows
    for statement in (
        "UPDATE newest SET size = x'0000000000000004'",
        "UPDATE newest SET root = zeroblob(32)",
        "UPDATE newest SET origin = 'other'",
        "DELETE FROM newest",
    ):
        with pytest.raises(Exception, match="a witness never"):
            rows.execute(statement)
    witness.store.close()


def test_a_clock_set_back_does_not_make_a_larger_tree_older(tmp_path: Path) -> None:
    witness = open_witness(tmp_path, clock=[TIME, TIME - 100, TIME + 5])
    times = [_cosigned(witness.submit(TREE.submission(old, old + 1)), TREE.checkpoint(old + 1)) for old in range(3)]
    assert times == [[TIME] * 2, [TIME] * 2, [TIME + 5] * 2]
    witness.store.close()


def test_the_newest_checkpoint_is_shown_with_what_was_verified(witness: Witness) -> None:
    unknown = MALLORY.sign("anything\n")
    witness.submit(body(0, [], f"{TREE.note(4)}{unknown}"))
    note = witness.store.note_of(ORIGIN)
    assert note is not None
    names = [(line.name, line.key_id) for line in parse_note(note.encode()).signatures]
    keys = [LOG.verifier_key, *(cosigner.verifier_key for cosigner in COSIGNERS)]
    assert names == [(key.name, key.key_id) for key in keys]
    assert witness.store.note_of("other") is None


def _files(folder: Path) -> Files:
    return Files(key=folder / "key.pem", mldsa_key=folder / "pq.pem", store=folder / "store")


def test_keys_are_made_once_and_not_used_without_their_store(tmp_path: Path) -> None:
    made = establish("w.example", _files(tmp_path), busy_seconds=1)
    assert [key.verifier_key for key in establish("w.example", _files(tmp_path), busy_seconds=1)] == [
        key.verifier_key for key in made
    ]
    for path in tmp_path.glob("store*"):
        path.unlink()
    with pytest.raises(MemoryLost, match="retire both keys"):
        establish("w.example", _files(tmp_path), busy_seconds=1)


@pytest.mark.parametrize("name", ["", "two words", "a+b"])
def test_a_name_that_no_key_can_have_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(NotConfigured, match="NAME"):
        establish(name, _files(tmp_path), busy_seconds=1)


def test_a_damaged_store_is_refused(tmp_path: Path) -> None:
    (tmp_path / "store").write_bytes(b"not a database, but longer than a header of one" * 100)
    with pytest.raises(StoreUnusable):
        Store(tmp_path / "store", busy_seconds=1)


def test_accepted_logs_are_read_again_when_their_file_changes(tmp_path: Path) -> None:
    path = logs_file(tmp_path)
    logs = Logs(path)
    assert logs.keys_of(ORIGIN) == (LOG.verifier_key,)
    logs_file(tmp_path, "# the next key", "", MALLORY.verifier_key, MALLORY.verifier_key)
    assert logs.keys_of(ORIGIN) == (LOG.verifier_key, MALLORY.verifier_key)
    path.write_text("no key\n")
    assert logs.keys_of(ORIGIN) == (LOG.verifier_key, MALLORY.verifier_key)
    path.unlink()
    assert logs.keys_of(ORIGIN) == (LOG.verifier_key, MALLORY.verifier_key)
    with pytest.raises(LogsUnreadable, match="No such file"):
        Logs(path)


@pytest.mark.parametrize("line", ["no key", str(COSIGNERS[0].verifier_key)])
def test_a_line_that_is_no_log_key_is_refused(tmp_path: Path, line: str) -> None:
    (tmp_path / "logs").write_text(f"# logs\n{line}\n")
    with pytest.raises(LogsUnreadable, match="line 2"):
        Logs(tmp_path / "logs")
