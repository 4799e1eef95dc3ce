"""What an adapter knows: sealed items answered on the serving path by base, adapter and a trivial baseline, judged by the verifier.

`python loadtests/skill_adapters.py DOMAIN [--items 400] [--adapters FOLDER] [--curve NAME=TOKENS ...] [--to FILE]`
Adapters lie in FOLDER/DOMAIN (default infra/fleet/adapters); `--curve` also asks other states of a training, by folders beside it.
"""

import argparse
import asyncio
import json
import platform
import random
import statistics
import time
from collections.abc import Sequence
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Any

from shared.nearest import Nearest
from shared.serving import FLEET, Serving, serving
from tierproof_domains.item import Item

RESULTS = Path(__file__).parent / "results"
TRAINED_ON = 6500
AT_ONCE = 8
RESAMPLES = 4000


def items_of(domain: str, split: str, most: int) -> list[Item]:
    """Return items of a domain's generator."""
    module = import_module(f"tierproof_domains.{domain.replace('-', '_')}")
    return list(islice(module.items(split, most=most), most))


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


async def measure(domain: str, most: int, adapters: Path, curve: dict[str, int]) -> dict[str, Any]:
    """Ask all arms."""
    items = items_of(domain, "sealed", most)
    async with serving(adapters) as path:
        arms = {"base": await asked(path, items, None)}
        arms["adapter"] = await asked(path, items, domain)
        arms["baseline"] = await baseline(path, items, items_of(domain, "train", TRAINED_ON))
        points = []
        for name, tokens in curve.items():
            right = await asked(path, items, name)
            points.append(
                {
                    "state": name,
                    "tokens": tokens,
                    **{k: v for k, v in split_up(items, right).items() if k != "families"},
                }
            )
    return {
        "question": f"does the adapter {domain} beat base and baseline on its sealed items, on the serving path?",
        "arms": {name: split_up(items, right) for name, right in arms.items()},
        "adapter_over_base": gain(arms["adapter"], arms["base"]),
        "adapter_over_baseline": gain(arms["adapter"], arms["baseline"]),
        "targets": {"seen": 0.8, "unseen": 0.5},
        "learning_curve": points,
        "machine": platform.platform(),
    }


def main() -> None:
    """Measure and write the answer."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("domain", choices=("embedded-fw-c", "reg-doc-drafting", "dicom-adjacent"))
    parser.add_argument("--items", type=int, default=400, help="sealed items, half of them in unseen phrasings")
    parser.add_argument("--adapters", type=Path, default=FLEET / "adapters")
    parser.add_argument("--curve", nargs="*", default=[], metavar="NAME=TOKENS")
    parser.add_argument("--to", type=Path)
    said = parser.parse_args()
    curve = {name: int(tokens) for name, _, tokens in (point.partition("=") for point in said.curve)}
    report = asyncio.run(measure(said.domain, said.items, said.adapters.absolute(), curve))
    to = said.to or RESULTS / f"skill_{said.domain.replace('-', '_')}.json"
    to.write_text(json.dumps(report, indent=1) + "\n")
    brief = {
        name: {part: arm[part].get("share") for part in ("seen", "unseen")} for name, arm in report["arms"].items()
    }
    print(json.dumps({**brief, "gain": report["adapter_over_base"]}, indent=1))


if __name__ == "__main__":
    main()
