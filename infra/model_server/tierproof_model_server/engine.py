"""The step loop: one thread, one pipeline, requests in groups by adapter, first come first served between groups.

A pipeline runs one adapter at a time. A group is drained, the adapter switched, the next group admitted; a request of another adapter
that waits longer than the fairness quantum stops admission to the running group.
"""

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

from tierproof_model_server.adapters import CheckedAdapter
from tierproof_model_server.errors import DeadlinePassed, EngineGone, GenerationFailed, ModelServerError, RequestRefused
from tierproof_model_server.generation import Generated, Generation, Listener
from tierproof_model_server.pipeline import ENGINE_ERRORS, Handle, Pipeline
from tierproof_model_server.settings import EngineSettings

UNFINISHED_CHARACTER = "\ufffd"  # the decoder's sign for a character whose bytes are not all there yet


@dataclass(slots=True, kw_only=True)
class _Turn:
    """One request on its way through the engine."""

    request: Generation
    listener: Listener
    adapter: CheckedAdapter | None
    since: float
    deadline: float
    handle: Handle = None
    prompt_tokens: int = 0
    ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    sent: str = ""
    finish: Any = None

    @property
    def group(self) -> str:
        return self.adapter.digest if self.adapter else ""


class Engine:
    """Generates for many listeners. `build` makes a fresh pipeline: once at the start, and again after each failed step."""

    def __init__(self, *, build: Callable[[], Pipeline], settings: EngineSettings) -> None:
        self._build, self._settings = build, settings
        self._pipeline = build()
        self._group: str | None = ""
        self._waiting: deque[_Turn] = deque()
        self._running: dict[int, _Turn] = {}
        self._wake = threading.Condition()
        self._closing = False
        self._gone: EngineGone | None = None
        self._number = 0
        self._thread = threading.Thread(target=self._loop, name="engine", daemon=True)
        self._thread.start()

    def submit(self, request: Generation, listener: Listener, adapter: CheckedAdapter | None) -> None:
        """Queue a request; raises EngineGone, or RequestRefused when too many wait."""
        seconds = min(request.seconds or self._settings.most_request_seconds, self._settings.most_request_seconds)
        now = monotonic()
        turn = _Turn(request=request, listener=listener, adapter=adapter, since=now, deadline=now + seconds)
        with self._wake:
            if self._gone is not None:
                raise self._gone
            if len(self._waiting) >= self._settings.most_waiting:
                raise RequestRefused(f"{self._settings.most_waiting} requests wait already; send it again later")
            self._waiting.append(turn)
            self._wake.notify()

    def close(self, *, patience_seconds: float) -> None:
        """Stop the thread; unfinished requests fail."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        self._thread.join(patience_seconds)

    def _loop(self) -> None:
        while self._await_work():
            self._drop_waiting()
            if not self._running:
                self._settle()
            self._admit()
            if not self._running:
                continue
            try:
                self._pipeline.step()
                for number, turn in list(self._running.items()):
                    self._advance(number, turn)
            except ENGINE_ERRORS as broken:
                self._rebuild(broken)
        self._fail_all(GenerationFailed(because="the model is being unloaded"))

    def _settle(self) -> None:
        """Let the pipeline free what cancelled requests held; it does so in a step, and `switch` needs it idle."""
        try:
            while self._pipeline.busy():
                self._pipeline.step()
        except ENGINE_ERRORS as broken:
            self._rebuild(broken)

    def _await_work(self) -> bool:
        with self._wake:
            while not (self._waiting or self._running or self._closing):
                self._wake.wait()
            return not self._closing and self._gone is None

    def _drop_waiting(self) -> None:
        """End the waiting requests that nobody wants or whose time is over."""
        with self._wake:
            over = [turn for turn in self._waiting if turn.listener.gone() or monotonic() > turn.deadline]
            for turn in over:
                self._waiting.remove(turn)
        for turn in over:
            _end_early(turn)

    def _admit(self) -> None:
        """Start the waiting requests of the group whose turn it is."""
        with self._wake:
            group = self._next_group()
            taken = [turn for turn in self._waiting if turn.group == group]
            for turn in taken:
                self._waiting.remove(turn)
        if not taken:
            return
        if self._group != group:
            try:
                self._pipeline.switch(taken[0].adapter)
                self._group = group
            except ENGINE_ERRORS as broken:
                self._group = None
                self._fail(taken, GenerationFailed(because=f"the adapter could not be switched: {_short(broken)}"))
                return
        for turn in taken:
            self._start(turn)

    def _next_group(self) -> str | None:
        """Return the group that may be admitted now, or None."""
        if not self._waiting:
            return None
        head = self._waiting[0]
        if not self._running:
            return head.group
        starving = head.group != self._group and monotonic() - head.since > self._settings.fairness_quantum_seconds
        return None if starving else self._group

    def _start(self, turn: _Turn) -> None:
        self._number += 1
        try:
            ids = self._pipeline.tokens(turn.request)
            turn.prompt_tokens = int(ids.shape[1])
            turn.handle = self._pipeline.add(self._number, ids, turn.request)
            self._running[self._number] = turn
        except RequestRefused as refused:
            turn.listener.failed(refused)
        except ENGINE_ERRORS as broken:
            turn.listener.failed(RequestRefused(f"the engine does not take the request: {_short(broken)}"))

    def _advance(self, number: int, turn: _Turn) -> None:
        """Take what one request got from the last step, and end it where it ends."""
        if turn.listener.gone() or monotonic() > turn.deadline:
            turn.handle.cancel()
            del self._running[number]
            _end_early(turn)
            return
        while turn.handle.can_read():
            for output in turn.handle.read().values():
                turn.ids += output.generated_ids
                turn.logprobs += output.generated_log_probs
                turn.finish = output.finish_reason
        status = str(turn.handle.get_status()).rpartition(".")[2]
        if status == "RUNNING":
            self._send_delta(turn)
            return
        del self._running[number]
        if status != "FINISHED":
            turn.listener.failed(GenerationFailed(because=f"the engine ended the request as {status}"))
            return
        turn.listener.finished(
            Generated(
                rest=self._pipeline.text(turn.ids)[len(turn.sent) :],
                finish="stop" if str(turn.finish).endswith("STOP") else "length",
                ids=tuple(turn.ids),
                logprobs=tuple(turn.logprobs),
                prompt_tokens=turn.prompt_tokens,
            )
        )

    def _send_delta(self, turn: _Turn) -> None:
        if not turn.request.streaming:
            return
        text = self._pipeline.text(turn.ids)
        if len(text) > len(turn.sent) and not text.endswith(UNFINISHED_CHARACTER):
            turn.listener.delta(text[len(turn.sent) :])
            turn.sent = text

    def _rebuild(self, cause: Exception) -> None:
        """After a failed step the pipeline is spoiled for good, with everything that runs in it."""
        taken, self._running = list(self._running.values()), {}
        self._fail(taken, GenerationFailed(because=_short(cause)))
        try:
            self._pipeline = self._build()
            self._group = ""
        except ENGINE_ERRORS as broken:
            gone = EngineGone(because=_short(broken))
            with self._wake:
                self._gone = gone
            self._fail_all(gone)

    def _fail_all(self, error: ModelServerError) -> None:
        with self._wake:
            turns = [*self._running.values(), *self._waiting]
            self._running.clear()
            self._waiting.clear()
        self._fail(turns, error)

    def _fail(self, turns: list[_Turn], error: ModelServerError) -> None:
        for turn in turns:
            turn.listener.failed(error)


def _end_early(turn: _Turn) -> None:
    if turn.listener.gone():
        turn.listener.stopped()
    else:
        turn.listener.failed(DeadlinePassed())


def _short(error: Exception) -> str:
    return str(error).strip().splitlines()[-1][:300] if str(error).strip() else type(error).__name__
