"""The tasks of the guided run: sealed items of the domains (no training has seen them), and a few that are meant to go wrong.

What comes of each is up to the models and the checks.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Literal, get_args

from tierproof_contracts.ids import UNDECLARED
from tierproof_domains import dicom_adjacent, embedded_fw_c, reg_doc_drafting
from tierproof_domains.item import Item

SafetyClass = Literal["A", "B", "C"]
CLASSES: Sequence[SafetyClass] = get_args(SafetyClass)
OF_EACH = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoTask:
    """A task to submit: named inputs are texts, the time allowed is in seconds. Without a kind the triage model reads one."""

    title: str
    kind: str
    safety_class: SafetyClass
    prompt: str
    inputs: dict[str, str] = field(default_factory=dict)
    time_allowed: float = 240.0


def _sealed(items: Iterator[Item]) -> Iterator[DemoTask]:
    """Yield the first sealed items as tasks, mostly of the classes A and B: each of class C waits for a person."""
    for number, item in enumerate(islice(items, OF_EACH)):
        yield DemoTask(
            title=f"{item.family}, {item.phrasing} words",
            kind=item.kind,
            safety_class="C" if number % 4 == 3 else CLASSES[number % 2],  # noqa: PLR2004 - every fourth
            prompt=item.prompt,
            inputs=dict(item.inputs),
        )


def _beyond(title: str, safety_class: SafetyClass, prototype: str, wish: str, body: str) -> DemoTask:
    """Return a task that no adapter has learned: its wrong answers must not get through."""
    name = prototype.split()[1].partition("(")[0]
    signature = {"name": name, "returns": "uint16_t", "parameters": [{"name": "x", "type": "uint32_t"}]}
    return DemoTask(
        title=title,
        kind="embedded-fw-c",
        safety_class=safety_class,
        prompt=f"Write `{prototype}`: {wish}",
        inputs={"signature": json.dumps(signature), "reference": f"#include <stdint.h>\n{prototype} {{ {body} }}\n"},
    )


_ROOT = (
    "uint32_t r = 0; for (uint32_t b = 1UL << 15; b != 0; b >>= 1) "
    "{ if ((r + b) * (r + b) <= x) { r += b; } } return (uint16_t)r;"
)
_DIGITS = "uint32_t s = 0; while (x != 0) { s += x % 10U; x /= 10U; } return (uint16_t)s;"


def _unnamed(item: Item) -> DemoTask:
    """Return a sealed item as a task whose producer names no kind."""
    return DemoTask(
        title=f"{item.family}, no kind named",
        kind=UNDECLARED,
        safety_class="B",
        prompt=item.prompt,
        inputs=dict(item.inputs),
    )


TASKS: tuple[DemoTask, ...] = (
    *_sealed(reg_doc_drafting.items("sealed", most=OF_EACH)),
    *_sealed(embedded_fw_c.items("sealed", most=OF_EACH)),
    *_sealed(dicom_adjacent.items("sealed", most=OF_EACH)),
    _beyond(
        "square root", "B", "uint16_t isqrt(uint32_t x)", "return the integer square root of x, rounded down.", _ROOT
    ),
    _beyond("digit sum", "A", "uint16_t digit_sum(uint32_t x)", "add up the decimal digits of x.", _DIGITS),
    *(
        _unnamed(next(islice(domain.items("sealed", most=OF_EACH + 1), OF_EACH, None)))
        for domain in (reg_doc_drafting, embedded_fw_c, dicom_adjacent)
    ),
    DemoTask(
        title="none of our business",
        kind=UNDECLARED,
        safety_class="A",
        prompt="What is the best thing about sourdough bread?",
    ),
    DemoTask(
        title="kind without policy",
        kind="marketing-copy",
        safety_class="A",
        prompt="Write a slogan for an infusion pump.",
    ),
)
