"""Families that compare: limits, thresholds, the smaller and the larger."""

import random

from tierproof_domains.embedded_fw_c.names import VALUES
from tierproof_domains.embedded_fw_c.skill import SHORT, Case, Skills, case, range_of

SKILLS = Skills()


def two_limits(chance: random.Random, kind: str, gap: int = 2) -> tuple[int, int]:
    """Return two limits within a type, the second larger by at least `gap`; small numbers, as tasks have them."""
    low, high = range_of(kind)
    span = chance.choice((100, 100, 1000, 5000)) if high > 1000 else 100  # noqa: PLR2004 - round numbers of each width
    low, high = max(low + 1, -span), min(high - 1, span)
    while True:
        one, other = sorted(chance.randint(low, high) for _ in range(2))
        if other - one >= gap:
            return one, other


@SKILLS.family(
    "clamp",
    verbs="clamp limit bound clip saturate",
    cores="""
    clamp {a} to {lo}..{hi}
    limit {a} to the range {lo} to {hi}
    keep {a} between {lo} and {hi}
    clip {a} at {lo} below and at {hi} above
    return {a}, but at least {lo} and at most {hi}
    bound {a} to [{lo}, {hi}]
    return {a} held within {lo} and {hi}
    restrict {a} to values from {lo} to {hi}
    saturate {a} at {lo} and {hi}
    return {lo} if {a} is lower, {hi} if it is higher, otherwise {a}
    force {a} into {lo}..{hi}
    never return less than {lo} or more than {hi}, otherwise {a}
    """,
)
def _clamp(chance: random.Random) -> Case:
    t, x = chance.choice(SHORT), chance.choice(VALUES)
    lo, hi = two_limits(chance, t)
    return case(
        t, [(t, x)], f"{x} < {lo} ? {lo} : ({x} > {hi} ? {hi} : {x})", lambda v: min(max(v, lo), hi),
        reference=f"if ({x} > {hi}) {{ return {hi}; }}\nif ({x} < {lo}) {{ return {lo}; }}\nreturn {x};",
        wrong=[
            (f"{x} < {lo} ? {hi} : ({x} > {hi} ? {lo} : {x})", lambda v: hi if v < lo else lo if v > hi else v),
            (f"{x} > {hi} ? {hi} : {x}", lambda v: min(v, hi)), (f"{x} < {lo} ? {lo} : {x}", lambda v: max(v, lo)),
            (f"{x} < {lo} ? {lo} : ({x} > {hi} ? {hi - 1} : {x})", lambda v: lo if v < lo else hi - 1 if v > hi else v),
        ],
        lo=lo, hi=hi,
    )  # fmt: skip


@SKILLS.family(
    "in-range",
    verbs="in_range valid plausible ok within check",
    cores="""
    tell whether {a} lies in {lo}..{hi}, ends included
    return true if {a} is from {lo} to {hi} inclusive
    check that {a} is at least {lo} and at most {hi}
    return true when {a} is neither below {lo} nor above {hi}
    report whether {a} is within {lo} and {hi} inclusive
    say if {lo} <= {a} <= {hi}
    accept {a} only from {lo} to {hi}, both ends included
    be true for {a} in [{lo}, {hi}], false otherwise
    validate {a}: {lo} and {hi} are the first and last good values
    return false if {a} is less than {lo} or greater than {hi}, else true
    test if {a} is inside the closed range {lo} to {hi}
    see if {a} is no less than {lo} and no more than {hi}
    """,
)
def _in_range(chance: random.Random) -> Case:
    t, x = chance.choice(SHORT), chance.choice(VALUES)
    lo, hi = two_limits(chance, t)
    return case(
        "bool", [(t, x)], f"{x} >= {lo} && {x} <= {hi}", lambda v: int(lo <= v <= hi),
        reference=f"if ({x} < {lo}) {{ return false; }}\nif ({x} > {hi}) {{ return false; }}\nreturn true;",
        wrong=[
            (f"{x} > {lo} && {x} < {hi}", lambda v: int(lo < v < hi)),
            (f"{x} >= {lo} && {x} < {hi}", lambda v: int(lo <= v < hi)),
            (f"{x} < {lo} || {x} > {hi}", lambda v: int(not lo <= v <= hi)),
            (f"{x} > {lo} && {x} <= {hi}", lambda v: int(lo < v <= hi)),
        ],
        lo=lo, hi=hi,
    )  # fmt: skip


@SKILLS.family(
    "hysteresis",
    verbs="hyst comparator trip schmitt switch_on",
    cores="""
    return true if {b} is above {hi}, false if it is below {lo}, else {a}
    switch on above {hi}, off below {lo}, otherwise keep {a}, for input {b}
    compare {b} with hysteresis: on over {hi}, off under {lo}, else {a}
    be true when {b} exceeds {hi}, false when it is under {lo}, else the old {a}
    apply hysteresis to {b}: above {hi} on, below {lo} off, in between {a}
    act as a Schmitt trigger on {b}: > {hi} sets, < {lo} resets, else {a}
    turn on if {b} > {hi}, turn off if {b} < {lo}, otherwise stay at {a}
    keep {a} unless {b} is over {hi} (true) or under {lo} (false)
    give true for {b} > {hi}, false for {b} < {lo} and {a} elsewhere
    trip when {b} is greater than {hi}, release when less than {lo}, else hold {a}
    go true above {hi} and false below {lo} by {b}, with {a} kept between
    hold the state {a} while {b} is in {lo}..{hi}; above it true, below it false
    """,
)
def _hysteresis(chance: random.Random) -> Case:
    t, x, state = chance.choice(SHORT), chance.choice(VALUES), chance.choice(("on", "active", "last", "prev", "alarm"))
    lo, hi = two_limits(chance, t, gap=4)

    def form(high: str, low: str) -> str:
        return f"if ({high}) {{ return true; }}\nif ({low}) {{ return false; }}\nreturn {state};"

    return case(
        "bool", [("bool", state), (t, x)], form(f"{x} > {hi}", f"{x} < {lo}"),
        lambda s, v: 1 if v > hi else 0 if v < lo else s,
        reference=f"return {state} ? {x} >= {lo} : {x} > {hi};",
        wrong=[
            (form(f"{x} >= {hi}", f"{x} < {lo}"), lambda s, v: 1 if v >= hi else 0 if v < lo else s),
            (form(f"{x} > {hi}", f"{x} <= {lo}"), lambda s, v: 1 if v > hi else 0 if v <= lo else s),
            (form(f"{x} > {lo}", f"{x} < {hi}"), lambda s, v: 1 if v > lo else 0 if v < hi else s),
        ],
        lo=lo, hi=hi,
    )  # fmt: skip


@SKILLS.family(
    "dead-band",
    verbs="deadband dead_zone squelch center denoise",
    cores="""
    return 0 if {a} lies between -{n} and {n} exclusive, else {a}
    return zero for {a} closer to zero than {n}, otherwise {a}
    apply a dead band: {a} becomes 0 while its magnitude is below {n}
    suppress {a} to 0 when -{n} < {a} < {n}
    return {a}, but 0 if its absolute value is less than {n}
    ignore {a} below {n} in magnitude by returning 0
    give 0 inside the open interval (-{n}, {n}) and {a} outside it
    zero {a} if it is greater than -{n} and less than {n}
    pass {a} through unless it is nearer than {n} to zero, then return 0
    treat {a} with a magnitude under {n} as 0, return it otherwise
    squelch {a}: anything strictly between -{n} and {n} gives 0
    cut out small values: if -{n} < {a} and {a} < {n} return 0, else {a}
    """,
)
def _dead_band(chance: random.Random) -> Case:
    t = chance.choice(("int8_t", "int16_t"))
    x, n = chance.choice(VALUES), chance.randint(2, 100)
    return case(
        t, [(t, x)], f"({x} > -{n} && {x} < {n}) ? 0 : {x}", lambda v: 0 if -n < v < n else v,
        reference=f"if ({x} >= {n}) {{ return {x}; }}\nif ({x} <= -{n}) {{ return {x}; }}\nreturn 0;",
        wrong=[
            (f"({x} >= -{n} && {x} <= {n}) ? 0 : {x}", lambda v: 0 if -n <= v <= n else v),
            (f"({x} > -{n} || {x} < {n}) ? 0 : {x}", lambda v: 0),  # noqa: ARG005 - every value
            (f"{x} < {n} ? 0 : {x}", lambda v: 0 if v < n else v),
            (f"({x} > -{n} && {x} < {n}) ? {x} : 0", lambda v: v if -n < v < n else 0),
        ],
        n=n,
    )  # fmt: skip
