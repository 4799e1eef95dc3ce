"""The command as a user runs it, in this process: arguments in; exit code, output and errors out."""

import contextlib
import io
import json
from dataclasses import dataclass
from typing import Any

import structlog
from tierproof.cli.__main__ import main


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """What a run of the command left."""

    code: int
    out: str
    err: str

    @property
    def value(self) -> Any:
        """The JSON value that it printed."""
        return json.loads(self.out)


def tierproof(*arguments: object) -> Ran:
    """Run `tierproof ARGUMENTS`; an exception that escapes is a traceback for the user, and fails the test."""
    out, err, code, logging = io.StringIO(), io.StringIO(), 0, structlog.get_config()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main([str(each) for each in arguments])
        except SystemExit as ended:
            code = int(ended.code or 0)
        finally:
            structlog.configure(**logging)  # a command may choose its own
    return Ran(code=code, out=out.getvalue(), err=err.getvalue())
