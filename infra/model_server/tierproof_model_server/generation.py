"""One generation: what is asked, what comes out, and who listens."""

from dataclasses import dataclass
from typing import Literal, Protocol

from tierproof_model_server.adapters import AdapterRequest
from tierproof_model_server.errors import ModelServerError

Finish = Literal["stop", "length"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """A request to the engine. Temperature 0 is greedy; `raw` prompts get no chat template; `seconds` is the time it has."""

    prompt: str
    most_tokens: int
    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int | None = None
    seed: int = 0
    least_tokens: int = 0
    schema: str | None = None
    adapter: AdapterRequest | None = None
    streaming: bool = False
    raw: bool = False
    seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Generated:
    """A finished answer: the rest of its text that no delta carried, token ids with their natural log-probabilities."""

    rest: str
    finish: Finish
    ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    prompt_tokens: int


class Listener(Protocol):
    """Where an answer goes. All calls come from the engine's thread; exactly one of finished, failed, stopped ends them."""

    def gone(self) -> bool:
        """Tell whether nobody wants the answer any more."""

    def delta(self, text: str) -> None:
        """Take the next piece of text."""

    def finished(self, answer: Generated) -> None:
        """Take the end."""

    def failed(self, error: ModelServerError) -> None:
        """Take the failure instead of an end."""

    def stopped(self) -> None:
        """Take note that generation stopped because of `gone`."""
