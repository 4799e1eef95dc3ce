"""Families that choose: the smaller, the larger, the level that a value has reached."""

import random

from tierproof_domains.embedded_fw_c.families.limits import two_limits
from tierproof_domains.embedded_fw_c.names import PAIRS, TRIPLES, VALUES
from tierproof_domains.embedded_fw_c.skill import SHORT, SHORT_UNSIGNED, Case, Skills, case

SKILLS = Skills()


def _of_two(chance: random.Random, which: str) -> Case:
    t, (x, y) = chance.choice((*SHORT, "int32_t", "uint32_t")), chance.choice(PAIRS)
    op, other = ("<", ">") if which == "min" else (">", "<")
    best, worst = (min, max) if which == "min" else (max, min)
    return case(
        t, [(t, x), (t, y)], f"{x} {op} {y} ? {x} : {y}", best,
        reference=f"if ({y} {op} {x}) {{ return {y}; }}\nreturn {x};",
        wrong=[
            (f"{x} {other} {y} ? {x} : {y}", worst),
            (f"{x} {op} {y} ? {y} : {y}", lambda *v: v[1]), (f"{x} {op} {y} ? {x} : 0", lambda v, w: v if best(v, w) == v != w else 0),
        ],
    )  # fmt: skip


@SKILLS.family(
    "min-of-two",
    verbs="min lower lesser min2 smaller",
    cores="""
    return the smaller of {a} and {b}
    return the minimum of {a} and {b}
    give the lower of {a} and {b}
    pick the lesser of {a} and {b}
    return whichever of {a} and {b} is less
    find the least of {a} and {b}
    compare {a} with {b} and return the smaller one
    return {a} if it is less than {b}, else {b}
    choose the minimum out of {a} and {b}
    deliver the lowest of the two values {a} and {b}
    take min({a}, {b})
    return {b} unless {a} is below it, then {a}
    """,
)
def _min_of_two(chance: random.Random) -> Case:
    return _of_two(chance, "min")


@SKILLS.family(
    "max-of-two",
    verbs="max upper greater max2 larger",
    cores="""
    return the larger of {a} and {b}
    return the maximum of {a} and {b}
    give the higher of {a} and {b}
    pick the greater of {a} and {b}
    return whichever of {a} and {b} is more
    find the greatest of {a} and {b}
    compare {a} with {b} and return the bigger one
    return {a} if it is greater than {b}, else {b}
    choose the maximum out of {a} and {b}
    deliver the highest of the two values {a} and {b}
    take max({a}, {b})
    return {b} unless {a} is above it, then {a}
    """,
)
def _max_of_two(chance: random.Random) -> Case:
    return _of_two(chance, "max")


def _of_three(chance: random.Random, which: str) -> Case:
    t, (x, y, z) = chance.choice(SHORT), chance.choice(TRIPLES)
    op, other = ("<", ">") if which == "min" else (">", "<")
    best, worst = (min, max) if which == "min" else (max, min)
    return case(
        t, [(t, x), (t, y), (t, z)], f"{t} m = {x} {op} {y} ? {x} : {y};\nreturn m {op} {z} ? m : {z};",
        lambda *v: best(v),
        reference=f"{t} m = {z};\nif ({y} {op} m) {{ m = {y}; }}\nif ({x} {op} m) {{ m = {x}; }}\nreturn m;",
        wrong=[
            (f"{t} m = {x} {op} {y} ? {x} : {y};\nreturn m {other} {z} ? m : {z};", lambda u, v, w: worst(best(u, v), w)),
            (f"{t} m = {x} {other} {y} ? {x} : {y};\nreturn m {other} {z} ? m : {z};", lambda *v: worst(v)),
        ],
    )  # fmt: skip


@SKILLS.family(
    "min-of-three",
    verbs="min3 lowest least min",
    cores="""
    return the smallest of {a}, {b} and {c}
    return the minimum of {a}, {b} and {c}
    give the lowest of {a}, {b} and {c}
    pick the least of {a}, {b} and {c}
    find the smallest value among {a}, {b}, {c}
    return whichever of {a}, {b} and {c} is lowest
    choose the minimum out of {a}, {b} and {c}
    compare {a}, {b} and {c} and return the smallest
    return the least of the three values {a}, {b}, {c}
    take the minimum over {a}, {b} and {c}
    deliver the smallest of three: {a}, {b}, {c}
    return the one of {a}, {b} and {c} that no other is below
    """,
)
def _min_of_three(chance: random.Random) -> Case:
    return _of_three(chance, "min")


@SKILLS.family(
    "max-of-three",
    verbs="max3 highest peak max",
    cores="""
    return the largest of {a}, {b} and {c}
    return the maximum of {a}, {b} and {c}
    give the highest of {a}, {b} and {c}
    pick the greatest of {a}, {b} and {c}
    find the largest value among {a}, {b}, {c}
    return whichever of {a}, {b} and {c} is highest
    choose the maximum out of {a}, {b} and {c}
    compare {a}, {b} and {c} and return the largest
    return the greatest of the three values {a}, {b}, {c}
    take the maximum over {a}, {b} and {c}
    deliver the largest of three: {a}, {b}, {c}
    return the one of {a}, {b} and {c} that no other exceeds
    """,
)
def _max_of_three(chance: random.Random) -> Case:
    return _of_three(chance, "max")


@SKILLS.family(
    "alarm-level",
    verbs="alarm severity level classify grade",
    cores="""
    return 2 if {a} is at least {hi}, 1 if at least {lo}, else 0
    grade {a}: 2 from {hi} up, 1 from {lo} up, otherwise 0
    classify {a} as 2 ({hi} or more), 1 ({lo} or more) or 0
    return alarm 2 for {a} >= {hi}, 1 for {a} >= {lo}, 0 below
    give 0 below {lo}, 1 from {lo}, 2 from {hi} on, for {a}
    return 0 while {a} is under {lo}, 1 while under {hi}, then 2
    rate {a}: {lo} or higher is 1, {hi} or higher is 2, lower is 0
    report level 1 once {a} reaches {lo} and level 2 once it reaches {hi}, else 0
    map {a} to 0 (less than {lo}), 1 (less than {hi}) or 2
    return the alarm level of {a}: warning 1 at {lo}, alarm 2 at {hi}, none 0
    say 2 if {a} reaches {hi}, else 1 if it reaches {lo}, else 0
    tell the step of {a}: 0, from {lo} on 1, from {hi} on 2
    """,
)
def _alarm_level(chance: random.Random) -> Case:
    t, x = chance.choice(SHORT_UNSIGNED), chance.choice(VALUES)
    lo, hi = two_limits(chance, t)

    def form(high: str, low: str) -> str:
        return f"if ({x} {high}) {{ return 2; }}\nif ({x} {low}) {{ return 1; }}\nreturn 0;"

    return case(
        "uint8_t", [(t, x)], form(f">= {hi}", f">= {lo}"), lambda v: 2 if v >= hi else int(v >= lo),
        reference=f"return ({x} >= {lo}) + ({x} >= {hi});",
        wrong=[
            (form(f"> {hi}", f"> {lo}"), lambda v: 2 if v > hi else int(v > lo)),
            (form(f">= {lo}", f">= {hi}"), lambda v: 2 if v >= lo else int(v >= hi)),
            (form(f"> {hi}", f">= {lo}"), lambda v: 2 if v > hi else int(v >= lo)),
        ],
        lo=lo, hi=hi,
    )  # fmt: skip
