"""Does the smoke recipe give the same bytes each time, and how long is it from lock to a signed adapter that is loaded? By commands.

`python loadtests/train_reproduction.py [--runs 5] [--to FILE]`, with TIERPROOF_TRAINER_PYTHON set. All by the commands that people use: one
`tierproof train run`, then `tierproof train reproduce`, each in fresh processes and folders, another time zone, language and hash seed.
"""

import argparse
import asyncio
import base64
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import machine
from shared.serving import serving
from tierproof_embedded.demo_train_steps import CURATOR_KEY, LOCK, Learned, Recipe, Workshop, learned

MOST_SECONDS = 600
SMOKE = Recipe(
    kind="reg-doc-drafting",
    family="trace",
    name="smoke",
    lessons=16,
    sealed=12,
    changes=(
        "hyperparameters.longest_tokens=256",
        "hyperparameters.warmup_steps=1",
        "hyperparameters.batch=4",
    ),
)


async def loaded(known: Learned, artifact: Path) -> str:
    """Ask the adapter through Triton by its folder; return what it answers."""
    item = known.items[0]
    async with serving(artifact.parent) as path:
        said = await path.answer(item.kind, item.prompt, item.inputs, path.lora(artifact.name))
    return said.text


def second_of(record: Path) -> dict[str, Any]:
    """Return the digest of the second run in a signed record, and where it was made."""
    said = json.loads(base64.b64decode(json.loads(record.read_text())["payload"]))
    digests = {each["name"]: f"sha256:{each['digest']['sha256']}" for each in said["subject"]}
    return {"digest": digests["second"], "elsewhere": said["predicate"]["elsewhere"]}


def main() -> None:
    """Measure, print and write the result."""
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--runs", type=int, default=5)
    words.add_argument("--to", type=Path, default=machine.RESULTS / "train_reproduction.json")
    given = words.parse_args()
    with tempfile.TemporaryDirectory(prefix="tierproof-smoke-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # else no other user could read what a training needs
        known = learned(SMOKE, folder, print)
        began = time.monotonic()
        answer = asyncio.run(loaded(known, folder / known.trained["folder"]))
        parts = {**known.seconds, "load and ask": time.monotonic() - began}
        shop, again = Workshop(folder, print), []
        for _ in range(given.runs - 1):
            said = shop.tierproof("again", "train", "reproduce", LOCK, "--dataset-key", CURATOR_KEY)
            again.append(second_of(folder / said["record"]))
    seconds = sum(parts[part] for part in ("lock", "train", "verify", "load and ask"))
    digests = [known.trained["artifact"], *(each["digest"] for each in again)]
    result = {
        "digests": digests, "equal": len(set(digests)) == 1, "elsewhere": [each["elsewhere"] for each in again],
        "environment": known.lock["lock"]["environment"], "hyperparameters": known.lock["lock"]["hyperparameters"],
        "steps": known.trained["steps"], "tokens": known.trained["tokens"], "cpu_seconds": known.trained["cpu_seconds"],
        "seconds_from_lock_to_loaded": round(seconds, 1), "parts": {part: round(took, 1) for part, took in parts.items()},
        "most_seconds": MOST_SECONDS, "holds": len(set(digests)) == 1 and seconds <= MOST_SECONDS and bool(answer),
        "answer": answer, "machine": machine.describe(),
    }  # fmt: skip
    given.to.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps({name: result[name] for name in ("equal", "seconds_from_lock_to_loaded", "holds")}))


if __name__ == "__main__":
    main()
