"""Families that do one thing after another on one value."""

import random
from dataclasses import dataclass

from tierproof_domains.embedded_fw_c.names import VALUES
from tierproof_domains.embedded_fw_c.skill import SHORT_UNSIGNED, Case, Oracle, Skills, case

SKILLS = Skills()
_WORD = 0xFFFFFFFF
_VERBS = "scale shape prepare convert normalize adjust"
_JOINS = """
    {one}, then {two}, and return the result
    first {one}, second {two}
    {one} and after that {two}
    {one}; then {two}; return that
    do two things: {one}, then {two}
    return what you get if you {one} and then {two}
    {one}, and with the result {two}
    in this order: {one}, {two}
    start with this: {one}; finish with this: {two}
    {one}. Next, {two}
    {one}, {two}, and give it back
    compute in two steps: {one}; {two}
    """


@dataclass(frozen=True, slots=True)
class _Step:
    """Words in the infinitive, an expression of `v`, the same in other words, its value, and a likely wrong expression."""

    words: str
    expression: str
    other: str
    value: Oracle
    wrong: str
    wrong_value: Oracle


def _opening(chance: random.Random, x: str, bits: int) -> _Step:
    n, w = chance.randint(1, bits // 2), chance.randint(2, bits // 2)
    m, mask = chance.randint(2, 200), (1 << w) - 1
    field = chance.choice(
        (
            f"take the {w}-bit field at bit {n} of {x}",
            f"extract {w} bits of {x} from bit {n}",
            f"get {w} bits at offset {n} of {x}",
        )
    )
    return chance.choice((
        _Step(
            field, f"({x} >> {n}) & 0x{mask:X}u", f"{x} / {1 << n}u % {1 << w}u", lambda v: v >> n & mask,
            f"{x} & 0x{mask:X}u", lambda v: v & mask,
        ),
        _Step(
            chance.choice((f"shift {x} right by {n}", f"move {x} down {n} bits")), f"{x} >> {n}", f"{x} / {1 << n}u", lambda v: v >> n,
            f"{x} << {n}", lambda v: v << n,
        ),
        _Step(
            chance.choice((f"divide {x} by {m}", f"take {x} over {m}")), f"{x} / {m}u", f"({x} - {x} % {m}u) / {m}u", lambda v: v // m,
            f"{x} % {m}u", lambda v: v % m,
        ),
        _Step(
            chance.choice((f"take {x} modulo {m}", f"find the remainder of {x} by {m}")), f"{x} % {m}u", f"{x} - {x} / {m}u * {m}u",
            lambda v: v % m, f"{x} / {m}u", lambda v: v // m,
        ),
        _Step(
            chance.choice((f"mask {x} with 0x{mask:X}", f"keep the bits 0x{mask:X} of {x}")), f"{x} & 0x{mask:X}u", f"{x} % {1 << w}u",
            lambda v: v & mask, f"{x} | 0x{mask:X}u", lambda v: v | mask,
        ),
    ))  # fmt: skip


def _closing(chance: random.Random) -> _Step:
    m, hi = chance.randint(2, 60), chance.randint(3, 100)
    return chance.choice((
        _Step(
            chance.choice((f"add {m}", f"increase it by {m}")), f"v + {m}u", f"{m}u + v",
            lambda v: v + m, f"v - {m}u", lambda v: v - m & _WORD,
        ),
        _Step(
            chance.choice((f"multiply by {m}", f"scale it by {m}")), f"v * {m}u", f"{m}u * v",
            lambda v: v * m, f"v + {m}u", lambda v: v + m,
        ),
        _Step(
            chance.choice((f"limit it to at most {hi}", f"cap it at {hi}")), f"v > {hi}u ? {hi}u : v", f"v <= {hi}u ? v : {hi}u",
            lambda v: min(v, hi), f"v < {hi}u ? {hi}u : v", lambda v: max(v, hi),
        ),
        _Step(
            chance.choice((f"subtract {m}, not below 0", f"take off {m} but stop at 0")), f"v > {m}u ? v - {m}u : 0",
            f"v < {m}u ? 0 : v - {m}u",
            lambda v: max(v - m, 0), f"v - {m}u", lambda v: v - m & _WORD,
        ),
        _Step(
            chance.choice((f"return at least {hi}", f"raise it to {hi} if lower")), f"v < {hi}u ? {hi}u : v", f"v >= {hi}u ? v : {hi}u",
            lambda v: max(v, hi), f"v > {hi}u ? {hi}u : v", lambda v: min(v, hi),
        ),
    ))  # fmt: skip


@SKILLS.family("two-steps", verbs=_VERBS, cores=_JOINS)
def _two_steps(chance: random.Random) -> Case:
    t = chance.choice(SHORT_UNSIGNED)
    x = chance.choice([name for name in VALUES if name != "v"])
    one, two = _opening(chance, x, 8 if t == "uint8_t" else 16), _closing(chance)

    def body(first: str, second: str) -> str:
        return f"uint32_t v = {first};\nreturn {second};"

    return case(
        "uint32_t", [(t, x)], body(one.expression, two.expression), lambda v: two.value(one.value(v)),
        reference=body(one.other, two.other),
        wrong=[
            (body(one.wrong, two.expression), lambda v: two.value(one.wrong_value(v))),
            (body(one.expression, two.wrong), lambda v: two.wrong_value(one.value(v))),
            (one.expression, one.value),
        ],
        one=one.words, two=two.words,
    )  # fmt: skip
