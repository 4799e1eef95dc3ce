"""From records to a signed adapter, by the commands that people use: each is shown, run in one folder, and its JSON is read."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tierproof_domains.item import Item, item_from

from tierproof_embedded.demo_train_fleet import POLICY, with_suite
from tierproof_embedded.documents import fleet_folder
from tierproof_embedded.errors import StepFailed

GRACE = 30.0
PYTHON, DEFAULT_PYTHON = "TIERPROOF_TRAINER_PYTHON", ".venv-train/bin/python"
KEPT = (PYTHON, "TIERPROOF_TRAINER_WEIGHTS", "TIERPROOF_TRAINER_BASES")
SETTINGS = ("TIERPROOF_TRAINER_", "TIERPROOF_CURATOR_")
CURATOR_KEY, TRAINER_KEY, LOCK = "datasets/curator.pem", "trainings/trainer.pem", "train-lock.yaml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What is to be learned: one family of a domain, from so many lessons, examined on sealed items, of which some are asked."""

    kind: str
    family: str
    name: str
    lessons: int
    sealed: int
    changes: tuple[str, ...]

    @property
    def suite(self) -> str:
        """The name of the examination."""
        return f"{self.name}-1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Learned:
    """What the commands said of a training: members are their JSON; `progress` has a line per step; `seconds` per part."""

    items: tuple[Item, ...]
    examination: Mapping[str, Any]
    snapshot: Mapping[str, Any]
    lock: Mapping[str, Any]
    trained: Mapping[str, Any]
    verified: Mapping[str, Any]
    progress: tuple[Mapping[str, Any], ...]
    seconds: Mapping[str, float]

    @property
    def artifact(self) -> Path:
        """The folder of the signed adapter, below the folder of the commands."""
        return Path(self.trained["folder"])


class Workshop:
    """One folder in which commands are run. `say` hears each command before it runs; times are kept by part."""

    def __init__(self, folder: Path, say: Callable[[str], None]) -> None:
        self.folder, self._say = folder, say
        self.seconds: dict[str, float] = {}

    def tierproof(self, part: str, *words: str) -> dict[str, Any]:
        """Run `tierproof WORDS --json` and return what it says; its progress goes to standard error. Raises StepFailed."""
        self._say(f"  $ tierproof {' '.join(words)}")
        told = self._run(part, [sys.executable, "-m", "tierproof.cli", *words, "--json"])
        try:
            said: dict[str, Any] = json.loads(told.splitlines()[-1])
        except (ValueError, IndexError):
            raise StepFailed(step=f"tierproof {' '.join(words[:2])}", said="it did not say what it did") from None
        if not said.get("ok"):
            raise StepFailed(step=f"tierproof {' '.join(words[:2])}", said=str(said.get("diagnosis", said)))
        return said

    def domains(self, part: str, *words: str) -> None:
        """Run `python -m tierproof_domains WORDS`. Raises StepFailed."""
        self._say(f"  $ python -m tierproof_domains {' '.join(words)}")
        self._run(part, [sys.executable, "-m", "tierproof_domains", *words], strict=True)

    def _run(self, part: str, argv: list[str], *, strict: bool = False) -> str:
        began = time.monotonic()
        process = subprocess.Popen(argv, cwd=self.folder, env=self._environment(), stdout=subprocess.PIPE, text=True)
        try:
            told, _ = process.communicate()
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait(GRACE)
            self.seconds[part] = self.seconds.get(part, 0.0) + time.monotonic() - began
        if strict and process.returncode != 0:
            raise StepFailed(step=" ".join(argv[1:4]), said=f"it ended with code {process.returncode}: {told.strip()}")
        return told

    def _environment(self) -> dict[str, str]:
        """Return the caller's environment, but of the settings of curator and trainer only where the training environment is."""
        named = {name: os.environ[name] for name in KEPT if name in os.environ}
        python = Path(named.get(PYTHON, DEFAULT_PYTHON)).absolute()
        others = {name: value for name, value in os.environ.items() if not name.startswith(SETTINGS)}
        return {**others, **named, PYTHON: str(python), "TIERPROOF_TRAINER_POLICY": str(POLICY)}


def learned(recipe: Recipe, folder: Path, say: Callable[[str], None]) -> Learned:
    """Go from nothing to a signed and verified adapter in a folder. Raises StepFailed with what the failing command said."""
    shop = Workshop(folder, say)
    say("1. Records, and an examination that is sealed before anything is learned")
    items, examination = _sealed(shop, recipe)
    snapshot = _snapshot(shop, recipe)
    say("2. The lock: every input of the training, fixed beforehand")
    with_suite(fleet_folder() / POLICY.name, folder / POLICY, recipe.suite, examination["digest"])
    changes = [word for change in recipe.changes for word in ("--set", change)]
    key = ("--dataset-key", CURATOR_KEY)
    shop.tierproof(
        "lock", "train", "lock", _below(folder, snapshot["folder"]), "--name", recipe.name, "--suite", recipe.suite, *changes, *key
    )  # fmt: skip
    lock = shop.tierproof("lock", "train", "show", LOCK)
    say("3. The training, in the training environment")
    trained = shop.tierproof("train", "train", "run", LOCK, *key)
    say("4. The provenance, verified")
    verified = shop.tierproof("verify", "train", "verify", trained["folder"], "--signer", TRAINER_KEY)
    progress = (folder / trained["folder"]).parent / "progress.jsonl"
    steps = tuple(line for line in map(json.loads, progress.read_text().splitlines()) if "step" in line)
    return Learned(
        items=items, examination=examination, snapshot=snapshot, lock=lock, trained=trained, verified=verified,
        progress=steps, seconds=shop.seconds,
    )  # fmt: skip


def _sealed(shop: Workshop, recipe: Recipe) -> tuple[tuple[Item, ...], dict[str, Any]]:
    """Write the sealed items and their examination; items that are too short to be found again are left out, as the command asks."""
    file, part = f"{recipe.name}.sealed", "records"
    family = ("--family", recipe.family)
    shop.domains(
        part, "write", recipe.kind, *family, "--split", "sealed", "--items", str(recipe.sealed), "--to", "exam.jsonl"
    )
    seal = ("data", "seal", "exam.jsonl", "--name", recipe.suite, "--to", file)
    made, path = shop.tierproof(part, *seal), shop.folder / "exam.jsonl"
    items = [item_from(line) for line in path.read_text(encoding="utf-8").splitlines()]
    if made["too_short"]:
        items = [item for item in items if item.id not in made["too_short"]]
        path.write_text("".join(f"{item.as_line()}\n" for item in items), encoding="utf-8")
        made = shop.tierproof(part, *seal)
    return tuple(items), made


def _snapshot(shop: Workshop, recipe: Recipe) -> dict[str, Any]:
    part, file = "records", f"{recipe.name}.sealed"
    family = ("--family", recipe.family)
    shop.domains(
        part, "write", recipe.kind, *family, "--split", "train", "--items", str(recipe.lessons), "--to", "items.jsonl"
    )
    shop.tierproof(part, "data", "records", "items.jsonl", "--to", "records.jsonl")
    return shop.tierproof(part, "data", "build", "records.jsonl", "--sealed", file)


def _below(folder: Path, path: str) -> str:
    """Return a path as a person in the folder would write it."""
    found = Path(path)
    return str(found.relative_to(folder)) if found.is_relative_to(folder) else path
