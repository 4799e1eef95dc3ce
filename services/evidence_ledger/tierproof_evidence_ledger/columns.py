"""What an entry's query columns must hold, computed anew from its bytes and written as the auditor's view is asked to write them."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

NAMES = (
    "kind",
    "event_id",
    "event_type",
    "task_id",
    "tenant",
    "actor",
    "safety_class",
    "digests",
    "occurred_at",
    "recorded_at",
)
_ABSENT, _SEPARATOR, _BETWEEN = "\x01", "\x02", "\x03"  # characters that no column of an honest entry holds
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_WHOLE = 19  # characters of a time without its fraction
LONGEST = 2600  # bytes of a searched value; an index of PostgreSQL holds no more than 2,704 in a row


def _written(name: str) -> str:
    if name.endswith("_at"):
        return f"(extract(epoch FROM {name}) * 1000000)::bigint::text"
    if name == "digests":
        return f"cardinality({name}) || ':' || array_to_string({name}, E'\\x03', E'\\x01')"
    return f"'=' || {name}"  # so that nothing that is there reads as absent


AS_ONE = (
    "concat_ws(E'\\x02', " + ", ".join(f"coalesce({_written(name)}, E'\\x01')" for name in NAMES) + ")"
)  # an SQL expression over the columns of ledger.v_entry


def as_one(entry: Mapping[str, Any]) -> str:
    """Return what `AS_ONE` gives for an untouched entry; raises what a malformed entry raises."""
    found = zip(NAMES, values(entry), strict=True)
    return _SEPARATOR.join(_ABSENT if value is None else f"{_mark(name)}{value}" for name, value in found)


def _mark(name: str) -> str:
    """Return what stands before a value that is there; numbers need nothing."""
    return "" if name == "digests" or name.endswith("_at") else "="


def values(entry: Mapping[str, Any]) -> tuple[str | None, ...]:
    """Return the columns of an entry in the order of `NAMES`: words, digests after their number, times in microseconds."""
    event = _object(entry.get("event"))
    data = _object(event.get("data"))
    return (
        _word(entry.get("kind")),
        _word(event.get("id")),
        _word(event.get("type")),
        _first(data.get("task_id"), entry.get("task_id")),
        _word(data.get("tenant")),
        _first(data.get("signer"), data.get("actor"), event.get("source")),
        _word(data.get("safety_class")),
        _digests(data),
        str(microseconds(event["time"])) if event else None,
        str(microseconds(entry["recorded_at"])),
    )


def too_long(entry: Mapping[str, Any]) -> str | None:
    """Return the name of a column that could not be indexed, None for an entry that can be searched."""
    found = zip(NAMES, values(entry), strict=True)
    return next((name for name, value in found if value is not None and len(value.encode()) > LONGEST), None)


def _digests(data: Mapping[str, Any]) -> str | None:
    model = data["model"] if "model" in data else _object(data.get("settlement")).get("model", data)
    if model is data:
        if "digest" not in data:
            return None
        word = _word(data["digest"])
        return f"1:{_ABSENT if word is None else word}"
    said = _object(model)
    named = [
        *(said.get(name) for name in ("weights", "tokenizer", "engine")),
        _object(said.get("adapter")).get("digest"),
    ]
    words = [word for word in map(_word, named) if word is not None]
    return f"{len(words)}:{_BETWEEN.join(words)}"


def _first(*found: Any) -> str | None:  # noqa: ANN401 - JSON values
    return next((word for word in map(_word, found) if word is not None), None)


def _object(value: Any) -> Mapping[str, Any]:  # noqa: ANN401 - any JSON value
    return value if isinstance(value, dict) else {}


def _word(value: Any) -> str | None:  # noqa: ANN401 - any JSON value
    """Return a JSON value as PostgreSQL's ->> writes it; producers may fill fields that contracts do not know with anything."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, dict | list):
        return json.dumps(_in_order(value), ensure_ascii=False, separators=(", ", ": "))
    return json.dumps(value)


def _in_order(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """Return a value with its keys in the order of jsonb: shorter ones first, then by their bytes."""
    if isinstance(value, dict):
        keys = sorted(value, key=lambda key: (len(key.encode()), key.encode()))
        return {key: _in_order(value[key]) for key in keys}
    return [_in_order(inner) for inner in value] if isinstance(value, list) else value


@lru_cache(maxsize=1024)  # the entries of a batch were recorded at one time
def microseconds(instant: str) -> int:
    """Return a UTC time as microseconds since 1970, rounded as PostgreSQL does; raises ValueError."""
    whole = datetime.fromisoformat(instant[:_WHOLE]).replace(tzinfo=UTC)
    fraction = instant[_WHOLE:-1]
    return (whole - _EPOCH) // _MICROSECOND + (round(float(f"0{fraction}") * 1_000_000) if fraction else 0)
