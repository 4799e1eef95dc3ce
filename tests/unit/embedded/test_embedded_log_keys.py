"""The log's key files: their order, which signs, and that no key is believed for lying in the folder."""

from pathlib import Path

import pytest
from tierproof_embedded import ledger, log_keys
from tierproof_embedded.errors import StepFailed
from tierproof_embedded.layout import Layout
from tierproof_embedded.log_keys import RotationUnderWay
from tierproof_proofs.log_key import LogKey
from tierproof_proofs.trust import Trust

NAME = "tests.example/ledger"
KEY, NEXT = "TIERPROOF_EVIDENCE_LEDGER_LOG_KEY", "TIERPROOF_EVIDENCE_LEDGER_NEXT_LOG_KEY"


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    found = Layout.at(tmp_path)
    found.prepare()
    log_keys.ensure_first(found)
    found.trust.write_text(Trust(log_keys=log_keys.believed(found, NAME)).to_json())
    return found


def _settled(layout: Layout) -> None:
    """Write the trust file as after a rotation that was learnt."""
    every = log_keys.verifier_keys(layout, NAME)
    windows = [LogKey(key=key, since=10 * n, until=10 * n + 15) for n, key in enumerate(every)]
    layout.trust.write_text(Trust(log_keys=tuple(windows)).to_json())


@pytest.mark.requirement("LED-proof")
def test_a_new_key_follows_and_is_not_believed_before_the_log_says_so(layout: Layout) -> None:
    first = log_keys.believed(layout, NAME)
    made = log_keys.make_next(layout, NAME)
    assert log_keys.signing(layout) == (layout.keys / "ledger-log.pem", made)
    assert log_keys.believed(layout, NAME) == first
    assert log_keys.to_learn(layout, NAME) == log_keys.verifier_keys(layout, NAME)[1:]
    with pytest.raises(RotationUnderWay):
        log_keys.make_next(layout, NAME)


def test_the_service_is_told_of_the_last_two(layout: Layout) -> None:
    assert NEXT not in ledger.environment(layout)
    for number in range(2, 12):
        made = log_keys.make_next(layout, NAME)
        assert made.name == f"ledger-log-{number}.pem"
        _settled(layout)
    told = ledger.environment(layout)
    assert (Path(told[KEY]).name, Path(told[NEXT]).name) == ("ledger-log-10.pem", "ledger-log-11.pem")
    (layout.keys / "ledger-log-10.pem").unlink()
    assert Path(ledger.environment(layout)[KEY]).name == "ledger-log-9.pem"


def test_an_old_key_whose_file_is_gone_stays_believed_for_its_sizes(layout: Layout) -> None:
    log_keys.make_next(layout, NAME)
    _settled(layout)
    before = log_keys.believed(layout, NAME)
    (layout.keys / "ledger-log.pem").unlink()
    assert log_keys.believed(layout, NAME) == before
    assert log_keys.signing(layout) == (layout.keys / "ledger-log-2.pem", None)
    assert log_keys.make_next(layout, NAME).name == "ledger-log-3.pem"


def test_a_log_of_another_name_begins_with_its_own_key(layout: Layout) -> None:
    assert [each.key.name for each in log_keys.believed(layout, "other.example/ledger")] == ["other.example/ledger"]


def test_without_a_key_there_is_none_to_follow_it(tmp_path: Path) -> None:
    with pytest.raises(StepFailed, match="start the stack once"):
        log_keys.make_next(Layout.at(tmp_path), NAME)
