"""What the triage model reads from sealed requests, beside trivial baselines, on the serving path.

`python loadtests/skill_triage.py [--items 600] [--heads FILE] [--curve NAME=FILE ...]`: sealed items through Triton by the worker's
client, one at a time. Baselines, trained on the same items: the commonest class, and TF-IDF with logistic regression (here by hand:
multinomial, L2, full-batch gradient). `--curve` measures other heads, such as those of fewer records, without baselines.
"""

import argparse
import asyncio
import json
import math
import random
import re
import statistics
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import machine
import numpy as np
from shared.serving import FLEET, MODELS, SECONDS
from tierproof_domains import triage
from tierproof_domains.item import Item, item_from
from tierproof_inference_worker.handlers import shell_of
from tierproof_inference_worker.profiles import Order
from tierproof_inference_worker.settings import InferenceWorkerSettings
from tierproof_model_server.encoder import Encoder
from tierproof_model_server.encoder_files import encoder_folder
from tierproof_model_server.launch import running_server
from tierproof_model_server.prepare import prepare_base
from tierproof_model_server.settings import ModelServerLayout
from tierproof_model_server.triage_heads import Heads

DELIVERED = FLEET / "adapters/triage/heads.safetensors"
LABELS = ("kind", "modality", "retrieval", "risk")
OUTSIDE, MILLION, HALF = "out_of_domain", 1_000_000, 500_000
TARGETS = {"seen": 0.95, "unseen": 0.6, "auroc": 0.9}
TRAINED_ON = 8000
FEWEST_WORDS = 12  # a shorter request has too few n-grams to be found again, and is not in the shipped examination
ROUNDS, STEP, SHRINK = 150, 4.0, 1e-4
RESAMPLES, BINS, AT_ONCE = 2000, 10, 8
Reading = dict[str, Any]


def examined(most: int) -> list[Item]:
    """Return sealed items; the first 600 are those of `infra/fleet/examinations/triage-1.sealed`."""
    long = (
        item for item in triage.items("sealed", most=2 * most) if len(re.findall(r"\w+", item.prompt)) >= FEWEST_WORDS
    )
    return list(islice(long, most))


async def read_all(heads: Path, items: Sequence[Item]) -> tuple[list[Reading], dict[str, float]]:
    """Return a reading per item, and the milliseconds that one took alone and requests per second at eight at once."""
    base = prepare_base(MODELS / "base", progress=print)
    with tempfile.TemporaryDirectory(prefix="tierproof-skill-") as home:
        layout = ModelServerLayout(home=Path(home), adapters=Path(home), base=base.folder, heads=heads)
        with running_server(layout, ready_seconds=SECONDS) as running:
            settings = InferenceWorkerSettings(tier="s", model="triage", triton_url=running.grpc, idle_seconds=SECONDS)
            server = shell_of(settings).server
            able = (await server.describe()).able
            gate = asyncio.Semaphore(AT_ONCE)

            async def one(item: Item) -> tuple[Reading, float]:
                order = Order(
                    text=item.prompt, max_tokens=128, temperature_micro=0, top_p_micro=MILLION, top_k=None, seed=0
                )
                began = time.perf_counter()
                said = await server.generate(order, able, SECONDS, "skill")
                return json.loads(said.text), 1000 * (time.perf_counter() - began)

            async def gated(item: Item) -> Reading:
                async with gate:
                    return (await one(item))[0]

            await one(items[0])
            alone = [await one(item) for item in items]
            began = time.perf_counter()
            together = await asyncio.gather(*(gated(item) for item in items))
            rate = len(items) / (time.perf_counter() - began)
            await server.close()
    assert together == [reading for reading, _ in alone], "a neighbour changed a reading"
    times = sorted(milliseconds for _, milliseconds in alone)
    took = {"p50_ms": statistics.median(times), "p99_ms": times[int(0.99 * len(times))], "per_second_at_8": rate}
    return [reading for reading, _ in alone], {name: round(value, 1) for name, value in took.items()}


def read_here(heads: Path, items: Sequence[Item]) -> list[Reading]:
    """Return readings by the server's encoder and other heads, without the server: the same numbers."""
    found = Heads.read(heads)
    encoder = Encoder(
        encoder_folder(), threads=2, longest_tokens=found.longest_tokens, sentence_ends=found.sentence_ends
    )
    return [json.loads(found.reading(encoder.vectors(item.prompt))) for item in items]


def is_right(item: Item, reading: Reading) -> bool:
    """Tell whether everything that is asked of an item was read; out of the domain is told by more than one half."""
    labels = json.loads(item.answer)
    said = {**reading, OUTSIDE: "yes" if reading[f"{OUTSIDE}_micro"] > HALF else "no"}
    return all(said[name] == label for name, label in labels.items())


def words_of(text: str) -> list[str]:
    """Return a text's words and pairs of words."""
    words = re.findall(r"[a-z0-9_]+", text.lower())
    return [*words, *(f"{one} {two}" for one, two in pairwise(words))]


class Baseline:
    """TF-IDF of words and pairs, and a logistic regression per label."""

    def __init__(self, lessons: Sequence[Item]) -> None:
        seen = Counter(word for item in lessons for word in set(words_of(item.prompt)))
        self._places = {word: at for at, word in enumerate(sorted(word for word, count in seen.items() if count > 1))}
        self._rarity = np.zeros(len(self._places), dtype=np.float32)
        for word, at in self._places.items():
            self._rarity[at] = math.log(len(lessons) / seen[word]) + 1
        features = [self._features(item.prompt) for item in lessons]
        self._models = {label: self._fitted(label, lessons, features) for label in (OUTSIDE, *LABELS)}

    def _features(self, text: str) -> tuple[np.ndarray, np.ndarray]:
        counts = Counter(at for word in words_of(text) if (at := self._places.get(word)) is not None)
        places = np.fromiter(counts, dtype=np.int64, count=len(counts))
        values = np.fromiter(counts.values(), dtype=np.float32, count=len(counts)) * self._rarity[places]
        return places, values / (np.linalg.norm(values) or 1)

    def _fitted(
        self, label: str, lessons: Sequence[Item], features: Sequence[tuple[np.ndarray, np.ndarray]]
    ) -> tuple[list[str], np.ndarray]:
        said = [json.loads(item.answer).get(label) for item in lessons]
        known = [at for at, name in enumerate(said) if name is not None]
        names = sorted({said[at] for at in known})
        rows = np.concatenate([np.full(len(features[at][0]), row) for row, at in enumerate(known)])
        places = np.concatenate([features[at][0] for at in known])
        values = np.concatenate([features[at][1] for at in known])
        wanted = np.eye(len(names), dtype=np.float32)[[names.index(said[at]) for at in known]]
        weights = np.zeros((len(self._places), len(names)), dtype=np.float32)
        for _ in range(ROUNDS):
            scores = np.stack(
                [np.bincount(rows, values * weights[places, one], len(known)) for one in range(len(names))], axis=1
            )
            shares = np.exp(scores - scores.max(axis=1, keepdims=True))
            wrong = shares / shares.sum(axis=1, keepdims=True) - wanted
            for one in range(len(names)):
                slope = np.bincount(places, values * wrong[rows, one], len(self._places)) / len(known)
                weights[:, one] -= STEP * len(names) * (slope + SHRINK * weights[:, one])
        return names, weights

    def reading(self, text: str) -> Reading:
        """Return a reading."""
        places, values = self._features(text)
        found: Reading = {}
        for label, (names, weights) in self._models.items():
            scores = values @ weights[places]
            shares = np.exp(scores - scores.max())
            shares /= shares.sum()
            if label == OUTSIDE:
                found[f"{OUTSIDE}_micro"] = round(float(shares[names.index("yes")]) * MILLION)
            else:
                found |= {
                    label: names[int(shares.argmax())],
                    f"{label}_micro": round(float(shares.max()) * MILLION),
                }
        return found


def commonest(lessons: Sequence[Item]) -> Reading:
    """Return the reading that is always the commonest class."""
    said: dict[str, Counter[str]] = defaultdict(Counter)
    for item in lessons:
        for name, label in json.loads(item.answer).items():
            said[name][label] += 1
    found: Reading = {}
    for label in LABELS:
        (name, count) = said[label].most_common(1)[0]
        found |= {label: name, f"{label}_micro": round(MILLION * count / said[label].total())}
    outside = said[OUTSIDE]["yes"] / said[OUTSIDE].total()
    return {**found, f"{OUTSIDE}_micro": round(MILLION * outside)}


def summary(items: Sequence[Item], readings: Sequence[Reading]) -> dict[str, Any]:
    """Return shares of items wholly right, by phrasing with 95 % intervals, then by label; AUROC; calibration error of the kind."""
    right = [is_right(item, reading) for item, reading in zip(items, readings, strict=True)]
    return {
        **{
            phrasing: _share([ok for item, ok in zip(items, right, strict=True) if item.phrasing == phrasing])
            for phrasing in ("seen", "unseen")
        },
        "in_domain": {
            phrasing: _share(
                [
                    ok
                    for item, ok in zip(items, right, strict=True)
                    if item.phrasing == phrasing and item.family != triage.OUTSIDE
                ]
            )
            for phrasing in ("seen", "unseen")
        },
        "labels": {label: _by_phrasing(label, items, readings) for label in LABELS},
        "auroc_out_of_domain": {
            phrasing: _auroc(
                [
                    (reading[f"{OUTSIDE}_micro"], item.family == triage.OUTSIDE)
                    for item, reading in zip(items, readings, strict=True)
                    if item.phrasing == phrasing
                ]
            )
            for phrasing in ("seen", "unseen")
        },
        "expected_calibration_error": {label: _calibration(label, items, readings) for label in LABELS},
    }


def _share(right: Sequence[bool]) -> dict[str, Any]:
    chance = random.Random(1)
    means = sorted(statistics.fmean(chance.choices(right, k=len(right))) for _ in range(RESAMPLES))
    interval = [round(means[int(RESAMPLES * at)], 4) for at in (0.025, 0.975)]
    return {"items": len(right), "share": round(statistics.fmean(right), 4), "interval_95": interval}


def _asked(label: str, items: Sequence[Item], readings: Sequence[Reading]) -> list[tuple[Item, bool, int]]:
    return [
        (item, reading[label] == said[label], reading[f"{label}_micro"])
        for item, reading in zip(items, readings, strict=True)
        if label in (said := json.loads(item.answer))
    ]


def _by_phrasing(label: str, items: Sequence[Item], readings: Sequence[Reading]) -> dict[str, float]:
    found = _asked(label, items, readings)
    return {
        phrasing: round(statistics.fmean(ok for item, ok, _ in found if item.phrasing == phrasing), 4)
        for phrasing in ("seen", "unseen")
    }


def _auroc(said: Sequence[tuple[int, bool]]) -> float:
    outside, inside = [score for score, out in said if out], [score for score, out in said if not out]
    wins = sum((one > other) + (one == other) / 2 for one in outside for other in inside)
    return round(wins / (len(outside) * len(inside)), 4)


def _calibration(label: str, items: Sequence[Item], readings: Sequence[Reading]) -> float:
    """Return the expected calibration error in ten bins: how far the told probability is from the share that is right."""
    found = _asked(label, items, readings)
    bins: dict[int, list[tuple[bool, int]]] = defaultdict(list)
    for _, ok, micro in found:
        bins[min(BINS - 1, micro * BINS // MILLION)].append((ok, micro))
    gaps = (
        len(held) * abs(statistics.fmean(ok for ok, _ in held) - statistics.fmean(micro for _, micro in held) / MILLION)
        for held in bins.values()
    )
    return round(sum(gaps) / len(found), 4)


async def measure(items: Sequence[Item], heads: Path, curve: dict[str, Path]) -> dict[str, Any]:
    """Return the whole result."""
    lessons = list(islice(triage.items("train", most=TRAINED_ON), TRAINED_ON))
    readings, took = await read_all(heads, items)
    model = summary(items, readings)
    baseline, always = Baseline(lessons), commonest(lessons)
    points = {name: summary(items, read_here(path, items)) for name, path in curve.items()}
    return {
        "question": "does the triage model read kind, modality, risk and retrieval, and what is out of the domain?",
        "arms": {
            "model": model,
            "tf-idf and logistic regression": summary(items, [baseline.reading(item.prompt) for item in items]),
            "commonest": summary(items, [always] * len(items)),
        },
        "latency": took,
        "learning_curve": [
            {
                "records": name,
                **{part: each[part]["share"] for part in ("seen", "unseen")},
                "in_domain": {part: each["in_domain"][part]["share"] for part in ("seen", "unseen")},
            }
            for name, each in [*points.items(), (str(TRAINED_ON), model)]
        ],
        "targets": TARGETS,
        "met": {
            **{part: model[part]["share"] >= TARGETS[part] for part in ("seen", "unseen")},
            **{f"{part}_in_domain": model["in_domain"][part]["share"] >= TARGETS[part] for part in ("seen", "unseen")},
            "auroc": min(model["auroc_out_of_domain"].values()) >= TARGETS["auroc"],
        },
        "machine": machine.describe(),
    }


def main() -> None:
    """Measure, write, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=600, help="sealed items, half of them in unseen phrasings")
    parser.add_argument("--from", dest="file", type=Path, help="sealed items from a file of `tierproof_domains`")
    parser.add_argument("--heads", type=Path, default=DELIVERED)
    parser.add_argument("--curve", nargs="*", default=[], metavar="RECORDS=FILE")
    said = parser.parse_args()
    items = [item_from(line) for line in said.file.read_text().splitlines()] if said.file else examined(said.items)
    curve = {name: Path(path) for name, _, path in (point.partition("=") for point in said.curve)}
    result = asyncio.run(measure(items, said.heads, curve))
    machine.write("skill_triage", result)
    print(json.dumps({"met": result["met"], "latency": result["latency"]}))
    for arm, found in result["arms"].items():
        for whose, part in (("all", found), ("inside the domain", found["in_domain"])):
            shares = (f"{name} {part[name]['share']} {part[name]['interval_95']}" for name in ("seen", "unseen"))
            print(f"{arm}, {whose}: {', '.join(shares)}")


if __name__ == "__main__":
    main()
