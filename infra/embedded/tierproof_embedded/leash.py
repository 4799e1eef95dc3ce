"""Become another program that dies with its parent: `python -I -S leash.py SIGNAL PARENT USER PROGRAM [ARGUMENT ...]`.

A supervisor that is killed cannot stop its children; on Linux the kernel does it (prctl(2), PR_SET_PDEATHSIG). The setting must be
made in the child, after any change of identity, and survives the exec. USER is empty to stay who we are. Imports only what starts in
some milliseconds.
"""

import ctypes
import os
import pwd
import sys

PR_SET_PDEATHSIG = 1


def become(user: str) -> None:
    """Give up root for another user, without any group of ours."""
    entry = pwd.getpwnam(user)
    os.setgroups([])
    os.setgid(entry.pw_gid)
    os.setuid(entry.pw_uid)


def main(death_signal: int, parent: int, user: str, program: list[str]) -> None:
    """Tie this process to its parent, then replace it by the program. Ends at once when the parent is gone already."""
    if user:
        become(user)
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(PR_SET_PDEATHSIG, death_signal, 0, 0, 0) != 0:
            sys.exit(f"prctl: {os.strerror(ctypes.get_errno())}")
    if os.getppid() != parent:  # it died before the setting was made
        sys.exit("the supervisor is gone")
    os.execvp(program[0], program)  # noqa: S606 - the supervisor's own argument list, no shell


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4:])
