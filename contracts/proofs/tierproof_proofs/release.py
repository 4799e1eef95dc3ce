"""Released results, verified offline: the log holds the release, the release is this result, and class C has a person's word.

An entry of the log never holds a text: each `{"text", "salt"}` stands there as `{"commitment", "size"}` with
commitment = HMAC-SHA256(salt, text), so a reader who has the text can compare, and nobody else learns it.
"""

import hmac
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tierproof_proofs.encoding import bytes_of_base64
from tierproof_proofs.errors import Malformed, NotVerified
from tierproof_proofs.tlog_proof import ProvenEntry, verify_proof
from tierproof_proofs.trust import Trust

REVIEW_STATEMENT = "tierproof review v1"
_SALT = re.compile(r"[0-9a-f]{32}", re.ASCII)
RELEASED_TYPE = "result.released.v1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """What has been shown: the task's outcome is the one that the log holds, at `proven`; and who confirmed it, if anyone."""

    task_id: str
    status: str
    proven: ProvenEntry
    confirmed_by: str | None


def verify_released(result_event: bytes, proof_text: str, entry: bytes, trust: Trust) -> Verified:
    """Verify a `result.released.v1` event with its proof and log entry; raises Malformed or NotVerified.

    Takes nothing from the network, and believes only the trust file.
    """
    proven = verify_proof(proof_text, entry, trust.log_policy)
    released, recorded = _object(result_event, "result"), _object(entry, "entry")
    if recorded.get("kind") != "release":
        raise NotVerified("the entry is no release")
    if _canonical(seal(released)) != _canonical(recorded.get("event")):
        raise NotVerified("the log holds another result than this one")
    said = _member(released, "data")
    _refuse_other_position(released, _member(said, "ledger"), proven, trust)
    outcome = _member(said, "outcome")
    return Verified(
        task_id=str(said.get("task_id")),
        status=str(outcome.get("status")),
        proven=proven,
        confirmed_by=_confirmed_by(said, outcome, recorded, trust),
    )


def seal(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """Return a JSON value with each carried text replaced by its commitment and size, as the log's entries hold it."""
    if isinstance(value, Mapping):
        if _is_text(value):
            beside = {key: seal(inner) for key, inner in value.items() if key not in {"text", "salt"}}
            return beside | _sealed(value["text"], value["salt"])
        return {key: seal(inner) for key, inner in value.items()}
    return [seal(inner) for inner in value] if isinstance(value, list | tuple) else value


def verify_review(review: Mapping[str, Any], trust: Trust) -> str:
    """Return the signer of a review decision's data whose signature holds; raises Malformed or NotVerified."""
    signer, signature = review.get("signer"), review.get("signature")
    if not isinstance(signer, str) or not isinstance(signature, str):
        raise Malformed("review: signer and signature are required")
    key = trust.reviewers.get(signer)
    if key is None:
        raise NotVerified(f"the trust file knows no reviewer {signer!r}")
    fields = {name: value for name, value in review.items() if name != "signature"}
    statement = _canonical({"statement": REVIEW_STATEMENT, **fields})
    if not key.verify(statement, bytes_of_base64(signature, "review signature")):
        raise NotVerified(f"the signature of reviewer {signer} is wrong")
    return signer


def _confirmed_by(
    said: Mapping[str, Any], outcome: Mapping[str, Any], recorded: Mapping[str, Any], trust: Trust
) -> str | None:
    """Return who confirmed an answer; an answer of class C without a valid confirmation is refused."""
    if outcome.get("status") != "answered":
        return None
    if said.get("safety_class") != "C" and not outcome.get("confirmed_by"):
        return None
    review = _member(recorded, "review")
    signer = verify_review(review, trust)
    answer = _member(_member(_member(recorded, "event"), "data"), "outcome").get("answer")
    about = (review.get("verdict"), review.get("task_id"), review.get("answer"))
    if about != ("confirm", said.get("task_id"), answer.get("commitment") if isinstance(answer, Mapping) else None):
        raise NotVerified("the review confirms something else than this answer")
    return signer


def _refuse_other_position(
    released: Mapping[str, Any], position: Mapping[str, Any], proven: ProvenEntry, trust: Trust
) -> None:
    if released.get("type") != RELEASED_TYPE:
        raise NotVerified("the event is no released result")
    if (position.get("log"), position.get("index")) != (trust.origin, proven.index):
        raise NotVerified("the result names another log or position than the proof")


def _is_text(value: Mapping[str, Any]) -> bool:
    text, salt = value.get("text"), value.get("salt")
    return isinstance(text, str) and isinstance(salt, str) and _SALT.fullmatch(salt) is not None


def _sealed(text: str, salt: str) -> dict[str, Any]:
    try:
        content = text.encode()
    except UnicodeEncodeError:
        raise Malformed("result: a text that is not Unicode") from None
    return {
        "commitment": f"hmac-sha256:{hmac.digest(bytes.fromhex(salt), content, 'sha256').hex()}",
        "size": len(content),
    }


def _canonical(value: Any) -> bytes:  # noqa: ANN401 - any JSON value
    try:
        return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()
    except (UnicodeEncodeError, ValueError, RecursionError):
        raise Malformed("a JSON value has no canonical form") from None


def _object(content: bytes, what: str) -> dict[str, Any]:
    def unique(items: list[tuple[str, Any]]) -> dict[str, Any]:
        members = dict(items)
        if len(members) != len(items):
            raise Malformed(f"{what}: names a key twice")
        return members

    try:
        value = json.loads(content, object_pairs_hook=unique)
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError):
        raise Malformed(f"{what}: not JSON") from None
    if not isinstance(value, dict):
        raise Malformed(f"{what}: not a JSON object")
    return value


def _member(value: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    inner = value.get(name)
    if not isinstance(inner, Mapping):
        raise NotVerified(f"{name}: missing, or no object")
    return inner
