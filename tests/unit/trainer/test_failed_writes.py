"""Whose words say that a disk is full, and that a write failed: each library has its own."""

import errno

import pytest
from tierproof_trainer.stages.__main__ import FULL, system_error


@pytest.mark.parametrize(
    ("error", "number"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), errno.ENOSPC),
        (OSError("nobody knows"), errno.EIO),
        (Exception("Error while serializing: I/O error: No space left on device (os error 28)"), errno.ENOSPC),
        (Exception("Error while serializing: I/O error: File too large (os error 27)"), errno.EFBIG),
        (RuntimeError("PytorchStreamWriter failed writing file data/0: file write failed"), errno.EIO),
        (RuntimeError("[enforce fail at inline_container.cc:664] . unexpected pos 64 vs 0"), errno.EIO),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), None),
        (KeyError("lock"), None),
    ],
)
def test_the_systems_error_is_found_behind_the_librarys(error: Exception, number: int | None) -> None:
    assert system_error(error) == number


def test_no_room_and_no_quota_are_a_full_disk() -> None:
    assert {errno.ENOSPC, errno.EDQUOT} == set(FULL)
    assert errno.EFBIG not in FULL
