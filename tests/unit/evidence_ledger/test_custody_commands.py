"""Commands that cannot be undone are refused unless they are meant."""

import pytest
from tierproof_evidence_ledger import custody_commands


def test_an_erasure_needs_yes_and_a_reason() -> None:
    for arguments in (
        ["erase", "--tenant", "acme", "--reason", "asked"],
        ["erase", "--tenant", "acme", "--yes"],
        ["hold", "--tenant", "acme"],
        ["unhold", "not-an-id", "--reason", "over"],
    ):
        with pytest.raises(SystemExit) as refused:
            custody_commands.main(arguments)
        assert refused.value.code == 2


def test_without_a_role_it_says_which_setting_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("TIERPROOF_PG_ERASER_DSN", "TIERPROOF_PG_ERASER_DSN_FILE"):
        monkeypatch.delenv(name, raising=False)
    assert custody_commands.main(["erase", "--tenant", "acme", "--reason", "asked", "--yes"]) == 1
    assert "TIERPROOF_PG_ERASER_DSN" in capsys.readouterr().err


def test_one_key_and_many_are_said_rightly() -> None:
    assert "1 key of" in custody_commands.said_of_erasure("acme", 1)
    assert "2 keys of" in custody_commands.said_of_erasure("acme", 2)
    assert "nothing was erased" in custody_commands.said_of_erasure("acme", 0)
    assert custody_commands.said_of_holds([]) == ["no hold was ever placed"]
