"""What an adapter knows: sealed items answered on the serving path by base, adapter and a trivial baseline, judged by the verifier.

`python loadtests/skill_adapters.py DOMAIN [--items 400] [--arms base adapter baseline] [--curve NAME=TOKENS ...]`
Adapters lie in FOLDER/DOMAIN (default infra/fleet/adapters); `--curve` also asks other states of a training, by folders beside it.
"""

import argparse
import asyncio
import hashlib
import json
import random
import statistics
import time
from collections.abc import Sequence
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Any

import machine
from shared.nearest import Nearest
from shared.serving import FLEET, Serving, serving
from tierproof_domains.item import Item, item_from

RESULTS = machine.RESULTS
TRAINED_ON = 6500
AT_ONCE = 8
RESAMPLES = 4000


def items_of(domain: str, split: str, most: int) -> list[Item]:
    """Return items of a domain's generator."""
    module = import_module(f"tierproof_domains.{domain.replace('-', '_')}")
    return list(islice(module.items(split, most=most), most))


def read_items(path: Path) -> list[Item]:
    """Return the items of a file."""
    return [item_from(line) for line in path.read_text().splitlines()]


async def asked(path: Serving, items: Sequence[Item], adapter: str | None) -> list[bool]:
    """Return which items are answered rightly by the base or an adapter."""
    lora = path.lora(adapter) if adapter else None
    gate, began, done = asyncio.Semaphore(AT_ONCE), time.monotonic(), 0

    async def one(item: Item) -> bool:
        nonlocal done
        async with gate:
            said = await path.answer(item.kind, item.prompt, item.inputs, lora)
            done += 1
            if done % 50 == 0:
                print(f"  {adapter or 'base'}: {done} of {len(items)}, {time.monotonic() - began:.0f} s", flush=True)
        return said.whole and await path.is_right(item.kind, item.inputs, said.text)

    return list(await asyncio.gather(*(one(item) for item in items)))


async def baseline(path: Serving, items: Sequence[Item], known: Sequence[Item]) -> list[bool]:
    """Return which items the nearest training item's answer gets right."""
    nearest = Nearest(known)
    return [await path.is_right(item.kind, item.inputs, nearest.answer(item.prompt)) for item in items]


def share(right: Sequence[bool]) -> dict[str, Any]:
    """Return the share of right answers with Wilson's 95 % interval."""
    n, k, z = len(right), sum(right), 1.959964
    if not n:
        return {"items": 0}
    middle, spread = (k + z * z / 2) / (n + z * z), z / (n + z * z) * (k * (n - k) / n + z * z / 4) ** 0.5
    return {
        "items": n,
        "right": k,
        "share": round(k / n, 4),
        "interval": [round(middle - spread, 4), round(middle + spread, 4)],
    }


def gain(better: Sequence[bool], worse: Sequence[bool]) -> dict[str, Any]:
    """Return the paired difference of two arms with a bootstrap interval of 95 % (4,000 resamples, seeded)."""
    differences, chance = [int(a) - int(b) for a, b in zip(better, worse, strict=True)], random.Random(1)
    means = sorted(statistics.fmean(chance.choices(differences, k=len(differences))) for _ in range(RESAMPLES))
    low, high = means[int(0.025 * RESAMPLES)], means[int(0.975 * RESAMPLES)]
    return {"difference": round(statistics.fmean(differences), 4), "interval": [round(low, 4), round(high, 4)]}


def split_up(items: Sequence[Item], right: Sequence[bool]) -> dict[str, Any]:
    """Return one arm's shares: all, by phrasing, by family."""
    pairs = list(zip(items, right, strict=True))
    families = sorted({item.family for item in items})
    return {
        "all": share(right),
        **{name: share([ok for item, ok in pairs if item.phrasing == name]) for name in ("seen", "unseen")},
        "families": {name: share([ok for item, ok in pairs if item.family == name]) for name in families},
    }


def marks_of(right: Sequence[bool]) -> str:
    """Return an arm's answers as a text of 1 and 0, in the order of the items."""
    return "".join("01"[ok] for ok in right)


async def measure(domain: str, items: Sequence[Item], arms: Sequence[str], adapters: Path) -> dict[str, str]:
    """Ask the named arms: `base`, `baseline`, `adapter`, or a folder below the adapters."""
    found = {}
    async with serving(adapters) as path:
        for arm in arms:
            if arm == "baseline":
                right = await baseline(path, items, items_of(domain, "train", TRAINED_ON))
            else:
                right = await asked(path, items, {"base": None, "adapter": domain}.get(arm, arm))
            found[arm] = marks_of(right)
            print(f"  {arm}: {sum(right)} of {len(right)}", flush=True)
    return found


def report_of(domain: str, items: Sequence[Item], marks: dict[str, str], tokens: dict[str, int]) -> dict[str, Any]:
    """Return what the marks of all arms say; `tokens` names the states of the learning curve."""
    right = {arm: [mark == "1" for mark in text] for arm, text in marks.items()}
    curve = [{"state": arm, "tokens": tokens[arm], **split_up(items, right[arm])} for arm in tokens if arm in right]
    for point in curve:
        point.pop("families")
    main_arms = {arm: split_up(items, answers) for arm, answers in right.items() if arm not in tokens}
    gains = {
        f"adapter_over_{other}": gain(right["adapter"], right[other])
        for other in ("base", "baseline")
        if {"adapter", other} <= right.keys()
    }
    return {
        "question": f"does the adapter {domain} beat base and baseline on its sealed items, on the serving path?",
        "arms": main_arms,
        **gains,
        "targets": {"seen": 0.8, "unseen": 0.5},
        "learning_curve": sorted(curve, key=lambda point: point["tokens"]),
        "items": identity_of(items),
        "marks": marks,
        "machine": machine.describe(),
    }


def identity_of(items: Sequence[Item]) -> str:
    """Return the digest of the items' ids: marks of other items are never mixed in."""
    return hashlib.sha256(" ".join(item.id for item in items).encode()).hexdigest()


def main() -> None:
    """Measure the arms and put them beside those that were measured before on the same items."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument(
        "domain", nargs="?", default="embedded-fw-c", choices=("embedded-fw-c", "reg-doc-drafting", "dicom-adjacent")
    )
    parser.add_argument("--items", type=int, default=400, help="sealed items, half of them in unseen phrasings")
    parser.add_argument(
        "--from", dest="file", type=Path, help="sealed items from a file of `python -m tierproof_domains`"
    )
    parser.add_argument("--adapters", type=Path, default=FLEET / "adapters")
    parser.add_argument("--arms", nargs="*", default=["base", "adapter", "baseline"])
    parser.add_argument("--curve", nargs="*", default=[], metavar="NAME=TOKENS", help="states of the same training")
    parser.add_argument("--to", type=Path)
    said = parser.parse_args()
    to = said.to or RESULTS / f"skill_{said.domain.replace('-', '_')}.json"
    items = read_items(said.file)[: said.items] if said.file else items_of(said.domain, "sealed", said.items)
    before = json.loads(to.read_text()) if to.exists() else {}
    known = before if before.get("items") == identity_of(items) else {}
    tokens = {point["state"]: point["tokens"] for point in known.get("learning_curve", ())}
    tokens |= {name: int(count) for name, _, count in (point.partition("=") for point in said.curve)}
    arms = [*said.arms, *(name for name in tokens if name not in known.get("marks", {}))]
    marks = known.get("marks", {}) | asyncio.run(measure(said.domain, items, arms, said.adapters.absolute()))
    report = report_of(said.domain, items, marks, tokens)
    to.write_text(json.dumps(report, indent=1) + "\n")
    brief = {
        name: {part: arm[part].get("share") for part in ("seen", "unseen")} for name, arm in report["arms"].items()
    }
    print(json.dumps({**brief, "gain": report.get("adapter_over_base")}, indent=1))


if __name__ == "__main__":
    main()
