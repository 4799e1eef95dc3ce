"""Families on time and position: counters that wrap, ring indices, checksums."""

import random

from tierproof_domains.embedded_fw_c.names import VALUES
from tierproof_domains.embedded_fw_c.skill import BITS, SHORT_UNSIGNED, UNSIGNED, Case, Skills, case

SKILLS = Skills()
_CLOCKS = (
    ("now", "start"),
    ("now", "last"),
    ("t1", "t0"),
    ("tick", "mark"),
    ("cur", "prev"),
    ("now", "since"),
    ("end", "begin"),
)


@SKILLS.family(
    "elapsed",
    verbs="elapsed delta ticks since age diff",
    cores="""
    return the ticks from {b} to {a}, across wrap-around
    return the time elapsed since {b} at {a}, wrap-safe
    compute {a} - {b} modulo 2^{bits}
    give the timer difference {a} - {b}, right even after overflow
    return how long ago {b} was at {a} on a free-running timer
    subtract {b} from {a} so that a wrapped counter is no problem
    measure the wrap-safe interval from {b} to {a}
    tell how many ticks passed between {b} and {a}; the counter wraps
    find the {bits}-bit time difference of {a} and {b}
    calculate the age of {b} at {a} on a wrapping {bits}-bit counter
    get the number of counts from {b} until {a}, rollover included
    take the modular difference {a} - {b}
    """,
)
def _elapsed(chance: random.Random) -> Case:
    t, (x, y) = chance.choice(UNSIGNED), chance.choice(_CLOCKS)
    return case(
        t, [(t, x), (t, y)], f"({t})({x} - {y})", lambda v, w: v - w,
        reference=f"if ({x} >= {y}) {{ return {x} - {y}; }}\nreturn (uint64_t){x} + {2 ** BITS[t]}u - {y};",
        wrong=[
            (f"({t})({y} - {x})", lambda v, w: w - v), (f"{x} > {y} ? {x} - {y} : 0", lambda v, w: max(v - w, 0)),
            (f"{x} > {y} ? {x} - {y} : {y} - {x}", lambda v, w: abs(v - w)), (f"({t})({x} + {y})", lambda v, w: v + w),
        ],
        bits=BITS[t],
    )  # fmt: skip


@SKILLS.family(
    "expired",
    verbs="expired timeout due elapsed is_late done",
    cores="""
    tell whether {n} ticks have passed from {b} to {a}, wrap-safe
    return true if at least {n} ticks lie between {b} and {a}
    return true once {a} is {n} or more ticks after {b}
    check for a timeout of {n} ticks since {b} at {a}
    report that {n} ticks or more elapsed from {b} to {a}
    be true when {a} - {b} reaches {n}, also over a wrap
    see if the period of {n} counts that began at {b} is over at {a}
    say if {a} is no less than {n} ticks later than {b}
    test whether the wrap-safe difference {a} - {b} is at least {n}
    answer if the timer started at {b} with {n} ticks is due at {a}
    find out whether {n} counts have gone by at {a}, counted from {b}
    return false while fewer than {n} ticks have passed from {b} to {a}
    """,
)
def _expired(chance: random.Random) -> Case:
    t, (x, y) = chance.choice(SHORT_UNSIGNED), chance.choice(_CLOCKS)
    n = (
        chance.randint(2, 250)
        if t == "uint8_t"
        else chance.choice((10, 20, 25, 50, 75, 100, 150, 200, 250, 400, 500, 750, 1000, 1500, 2000, 5000))
    )
    mask = 2 ** BITS[t] - 1
    return case(
        "bool", [(t, x), (t, y)], f"({t})({x} - {y}) >= {n}", lambda v, w: int((v - w & mask) >= n),
        reference=f"uint32_t gone = {x};\nif ({x} < {y}) {{ gone += {mask + 1}u; }}\ngone -= {y};\nreturn !(gone < {n}u);",
        wrong=[
            (f"{x} - {y} >= {n}", lambda v, w: int(v - w >= n)), (f"({t})({x} - {y}) > {n}", lambda v, w: int((v - w & mask) > n)),
            (f"({t})({y} - {x}) >= {n}", lambda v, w: int((w - v & mask) >= n)),
            (f"({t})({x} - {y}) <= {n}", lambda v, w: int((v - w & mask) <= n)),
        ],
        n=n,
    )  # fmt: skip


_INDICES = ("i", "idx", "head", "tail", "pos", "wr", "rd", "slot", "cursor")
_SIZES = (3, 5, 6, 7, 8, 10, 12, 16, 20, 24, 25, 30, 32, 40, 48, 50, 60, 64, 80, 96, 100, 120, 128, 200)


@SKILLS.family(
    "ring-next",
    verbs="next advance inc next_idx wrap_inc bump",
    cores="""
    return the index after {a} in a ring of {n}
    advance {a} by one in a ring buffer with {n} slots
    increment {a} modulo {n}
    give the next index after {a}, wrapping from {m} to 0
    step {a} forward in a circular buffer of size {n}
    add 1 to {a} and wrap at {n}
    move ring index {a} on by one, {n} entries
    return {a} + 1, or 0 when that is {n}
    compute the successor of {a} in 0..{m}, cyclic
    bump {a}, going back to 0 after {m}
    increase {a} by one; after {m} comes 0
    cycle {a} to the following one of {n} positions
    """,
)
def _ring_next(chance: random.Random) -> Case:
    t, x, n = chance.choice(SHORT_UNSIGNED), chance.choice(_INDICES), chance.choice(_SIZES)
    return case(
        t, [(t, x, 0, n - 1)], f"({x} + 1u) % {n}u", lambda v: (v + 1) % n,
        reference=f"return {x} == {n - 1} ? 0 : {x} + 1;",
        wrong=[
            (f"{x} + 1u", lambda v: v + 1), (f"({x} + 1u) % {n + 1}u", lambda v: (v + 1) % (n + 1)),
            (f"({x} + 1u) % {n - 1}u", lambda v: (v + 1) % (n - 1)), (f"({x} + {n}u - 1u) % {n}u", lambda v: (v - 1) % n),
        ],
        n=n, m=n - 1,
    )  # fmt: skip


@SKILLS.family(
    "ring-previous",
    verbs="prev back dec prev_idx wrap_dec retreat",
    cores="""
    return the index before {a} in a ring of {n}
    move {a} back by one in a ring buffer with {n} slots
    decrement {a} modulo {n}
    give the previous index of {a}, wrapping from 0 to {m}
    step {a} backward in a circular buffer of size {n}
    subtract 1 from {a} and wrap 0 to {m} (ring of {n})
    take ring index {a} one back, {n} entries
    return {a} - 1, or {m} when {a} is 0, in a ring of {n}
    compute the predecessor of {a} in 0..{m}, cyclic, {n} slots
    lower {a} by one; before 0 comes {m}, for {n} slots
    go from {a} to the preceding one of {n} cyclic positions
    cycle {a} backward through {n} positions
    """,
)
def _ring_previous(chance: random.Random) -> Case:
    t, x, n = chance.choice(SHORT_UNSIGNED), chance.choice(_INDICES), chance.choice(_SIZES)
    return case(
        t, [(t, x, 0, n - 1)], f"({x} + {n}u - 1u) % {n}u", lambda v: (v - 1) % n,
        reference=f"return {x} == 0 ? {n - 1} : {x} - 1;",
        wrong=[
            (f"{x} - 1u", lambda v: v - 1), (f"({x} + {n}u) % {n}u", lambda v: v),
            (f"({x} + 1u) % {n}u", lambda v: (v + 1) % n), (f"({x} - 1u) % {n}u", lambda v: (v - 1) % 2**32 % n),
        ],
        n=n, m=n - 1,
    )  # fmt: skip


@SKILLS.family(
    "count-up",
    verbs="count_up inc_to debounce charge up ramp_up",
    cores="""
    return {a} + 1, but stop at {n}
    increment {a} up to {n} and no further
    count {a} up by one unless it is {n} already
    add 1 to {a} while it is less than {n}, then stay at {n}
    raise {a} by one, limited to {n}
    step {a} upward until {n} is reached
    increase {a} by 1 with a ceiling of {n}
    advance counter {a}, saturating at {n}
    return one more than {a}, {n} at most
    bump {a} if below {n}, otherwise return {n}
    let {a} grow by one as long as it is under {n}; else give {n}
    run {a} up to its limit {n} in steps of one
    """,
)
def _count_up(chance: random.Random) -> Case:
    t, x, n = (
        chance.choice(SHORT_UNSIGNED),
        chance.choice((*VALUES, "count", "cnt", "ticks", "tries")),
        chance.randint(3, 200),
    )
    return case(
        t, [(t, x)], f"{x} < {n} ? {x} + 1 : {n}", lambda v: min(v + 1, n),
        reference=f"if ({x} >= {n}) {{ return {n}; }}\nreturn {x} + 1;",
        wrong=[
            (f"{x} <= {n} ? {x} + 1 : {n}", lambda v: v + 1 if v <= n else n),
            (f"{x} < {n} ? {x} + 1 : 0", lambda v: v + 1 if v < n else 0),
            (f"{x} + 1", lambda v: v + 1), (f"{x} > {n} ? {x} + 1 : {n}", lambda v: v + 1 if v > n else n),
        ],
        n=n,
    )  # fmt: skip


@SKILLS.family(
    "count-down",
    verbs="count_down dec_to_zero tick down decay",
    cores="""
    return {a} - {n}, but not below 0
    decrement {a} by {n} down to 0 and no further
    count {a} down by {n} with 0 as the floor
    subtract {n} from {a} while more than {n} is left, else give 0
    lower {a} by {n}, limited to 0
    step {a} down by {n} until 0 is reached
    decrease {a} by {n} and stop at zero
    reduce counter {a} by {n}, saturating at 0
    return {n} less than {a}, or 0 if that would be negative
    take {n} off {a} if it is greater, otherwise return 0
    let {a} fall by {n} but never under zero
    run {a} down to zero in steps of {n}
    """,
)
def _count_down(chance: random.Random) -> Case:
    t, x, n = (
        chance.choice(SHORT_UNSIGNED),
        chance.choice((*VALUES, "count", "cnt", "ticks", "left")),
        chance.randint(1, 60),
    )
    return case(
        t, [(t, x)], f"{x} > {n} ? {x} - {n} : 0", lambda v: max(v - n, 0),
        reference=f"if ({x} <= {n}) {{ return 0; }}\nreturn {x} - {n};",
        wrong=[
            (f"{x} - {n}", lambda v: v - n), (f"{x} < {n} ? {x} - {n} : 0", lambda v: v - n if v < n else 0),
            (f"{x} > 0 ? {x} - {n} : 0", lambda v: v - n if v > 0 else 0),
            (f"{x} > {n} ? {x} - {n} : {n}", lambda v: v - n if v > n else n),
        ],
        n=n,
    )  # fmt: skip
