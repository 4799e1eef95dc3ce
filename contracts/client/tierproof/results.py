"""Released results, and their offline verification."""

import base64
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from tierproof_contracts.catalogue import read_event
from tierproof_contracts.errors import ContractError
from tierproof_contracts.questions import Proof, ProofAsked
from tierproof_contracts.result import Answered, ResultReleasedV1
from tierproof_contracts.task import Abstained, Failed
from tierproof_proofs.release import Verified, verify_released
from tierproof_proofs.trust import Trust

from tierproof.connection import Connection
from tierproof.errors import ClientError

FORMAT = "tierproof result v1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """A released outcome as it came from the bus; with `proof`, it can be verified by anyone who has the trust file."""

    event: bytes
    released: ResultReleasedV1
    proof: Proof | None = None

    @classmethod
    def read(cls, content: bytes) -> Self:
        """Read a `result.released.v1` event; raises ContractError."""
        data = read_event(content).data
        if not isinstance(data, ResultReleasedV1):
            raise ClientError("this event is no released result")
        return cls(event=content, released=data)

    @property
    def outcome(self) -> Answered | Abstained | Failed:
        """The outcome: Answered(answer), Abstained(code, detail) or Failed(code, detail)."""
        return self.released.outcome

    @property
    def answer(self) -> str | None:
        """The answer's text, None when there is none."""
        return self.outcome.answer.text if isinstance(self.outcome, Answered) else None

    def verify(self, trust: Path | str) -> Verified:
        """Verify inclusion, checkpoint signature and the commitment of the answer, offline.

        Raises ClientError when the proof is missing, and ProofError when something does not hold.
        """
        if self.proof is None:
            raise ClientError("no proof yet: ask for it with Fleet.prove(result)")
        try:
            entry, believed = base64.b64decode(self.proof.entry, validate=True), Path(trust).read_bytes()
        except OSError as error:
            raise ClientError(
                f"trust file {trust}: {error.strerror}; name it with --trust or TIERPROOF_TRUST"
            ) from None
        except ValueError:
            raise ClientError("the proof's entry is not base64") from None
        return verify_released(self.event, self.proof.proof, entry, Trust.from_json(believed))

    def save(self, path: Path) -> None:
        """Write one file that `tierproof result verify` checks offline; raises ClientError when it cannot be written."""
        content: dict[str, Any] = {"format": FORMAT, "event": base64.b64encode(self.event).decode()}
        if self.proof is not None:
            content["proof"] = self.proof.model_dump(mode="json")
        try:
            path.write_text(json.dumps(content, indent=2) + "\n")
        except OSError as error:
            raise ClientError(f"{path}: {error.strerror}") from None

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a file that `save` wrote; raises ClientError naming what is wrong with it."""
        try:
            content = json.loads(path.read_text())
            if content["format"] != FORMAT:
                raise ClientError(f"{path}: format {content['format']!r} is not known")
            event = base64.b64decode(content["event"], validate=True)
            result = cls.read(event)
            proof = Proof.model_validate(content["proof"]) if "proof" in content else None
        except (OSError, ValueError, KeyError, TypeError, ContractError) as error:
            raise ClientError(f"{path}: not a saved result ({type(error).__name__})") from None
        return cls(event=event, released=result.released, proof=proof)


async def proven(connection: Connection, result: Result) -> Result:
    """Return the result with its proof; raises RefusedByLedger (`not-yet` until a checkpoint covers it)."""
    proof = await connection.ask(ProofAsked(task_id=result.released.task_id), Proof)
    return Result(event=result.event, released=result.released, proof=proof)
