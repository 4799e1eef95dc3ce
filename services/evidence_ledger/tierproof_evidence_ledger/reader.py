"""Reading in a process of its own: what a message costs before it can be recorded, on another core than the recording.

`canonical.read` is pure, so it may run anywhere. Each way goes a frame: its length (uint32), then a pickle of subjects and bytes there, of
readings back, in the order of asking. The process ends when its standard input does, that is with its parent, however that ends.
"""

import asyncio
import contextlib
import pickle
import signal
import struct
import sys
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from typing import BinaryIO

from tierproof_evidence_ledger.canonical import Delivered, read
from tierproof_evidence_ledger.errors import ReaderLost
from tierproof_evidence_ledger.tiles_on_disk import write_whole

_LENGTH = struct.Struct(">I")


class Reader:
    """Messages in, the same messages read out, in their order."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._asked: deque[Sequence[Delivered]] = deque()

    @classmethod
    @contextlib.asynccontextmanager
    async def beside(cls) -> AsyncIterator["Reader"]:
        """Have a process beside this one until the block ends."""
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(sys.executable, "-m", __name__, stdin=pipe, stdout=pipe)
        try:
            yield cls(process)
        finally:
            await _ended(process)

    def ask(self, messages: Sequence[Delivered]) -> None:
        """Have messages read; `run` tells of them."""
        if self._process.stdin is None or self._process.stdin.is_closing():
            return  # `run` says so
        self._asked.append(messages)
        self._process.stdin.write(_frame([(message.subject, message.content) for message in messages]))

    async def run(self, were_read: Callable[[Sequence[Delivered]], None]) -> None:
        """Tell of messages that were read, until cancelled; raises ReaderLost."""
        if self._process.stdout is None:
            raise AssertionError("the process has a pipe")
        while True:
            try:
                size = _LENGTH.unpack(await self._process.stdout.readexactly(_LENGTH.size))[0]
                readings = pickle.loads(await self._process.stdout.readexactly(size))  # noqa: S301 - of our own process
            except asyncio.IncompleteReadError:
                raise ReaderLost("the process that reads messages has ended") from None
            messages = self._asked.popleft()
            for message, reading in zip(messages, readings, strict=True):
                message.was_read(reading)
            were_read(messages)


async def _ended(process: asyncio.subprocess.Process) -> None:
    """End the process, which keeps nothing, and wait until nothing is left of it, even while being cancelled."""
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    if process.stdin is not None:
        process.stdin.close()
    ending = asyncio.ensure_future(process.communicate())
    while not ending.done():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait({ending})


def _frame(value: object) -> bytes:
    content = pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
    return _LENGTH.pack(len(content)) + content


def serve(source: BinaryIO, sink: int) -> None:
    """Answer frames on a descriptor until the source ends."""
    while len(header := source.read(_LENGTH.size)) == _LENGTH.size:
        asked = pickle.loads(source.read(_LENGTH.unpack(header)[0]))  # noqa: S301 - of our own parent
        # Not by a buffered file: CPython 3.11's loses bytes when a large write to a pipe is cut short by a stop of the process.
        write_whole(sink, _frame([read(subject, content) for subject, content in asked]))


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's ^C is for the parent
    with contextlib.suppress(BrokenPipeError):
        serve(sys.stdin.buffer, sys.stdout.fileno())
