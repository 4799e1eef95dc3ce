"""The lock as a file: YAML 1.2 for people, canonical JSON for its digest."""

import io
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from tierproof_contracts.errors import explain_validation
from tierproof_contracts.train_lock import TrainLock

from tierproof_trainer.errors import TrainingRefused

LARGEST_LOCK = 65_536  # bytes; a lock is a page


def lock_from(path: Path) -> TrainLock:
    """Return the lock in a file. Raises TrainingRefused, naming the field and the mend: one key twice is refused too."""
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_LOCK + 1)
    except OSError as error:
        raise TrainingRefused("bad-lock", f"{path}: {error.strerror}", "name a lock file") from None
    return parsed(content, str(path))


def parsed(content: bytes, where: str) -> TrainLock:
    """Return the lock in a YAML text. Raises TrainingRefused."""
    if len(content) > LARGEST_LOCK:
        raise TrainingRefused(
            "bad-lock", f"{where}: larger than {LARGEST_LOCK} bytes", "a lock holds digests, not data"
        )
    try:
        said = YAML(typ="safe", pure=True).load(io.BytesIO(content))
    except (YAMLError, UnicodeDecodeError) as error:
        first = str(error).strip().replace("\n", " ")[:300]
        raise TrainingRefused(
            "bad-lock", f"{where}: not YAML ({first})", "write each key once, fractions in quotes"
        ) from None
    try:
        return TrainLock.model_validate(said)
    except ValidationError as error:
        because = f"{where}: {explain_validation(error)}"
        raise TrainingRefused("bad-lock", because, "`tierproof train lock` writes one that is whole") from None


def written(lock: TrainLock) -> str:
    """Return a lock as YAML, members in the order of the document, fractions as quoted texts."""
    to = io.StringIO()
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style, yaml.sort_base_mapping_type_on_output, yaml.width = False, False, 120  # type: ignore[assignment]
    yaml.dump(_plain(lock.model_dump(mode="json", exclude_none=True)), to)
    return to.getvalue()


def _plain(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items()}
    return [_plain(part) for part in value] if isinstance(value, list | tuple) else value
