"""Families of arithmetic that stops at a limit instead of wrapping around."""

import random

from tierproof_domains.embedded_fw_c.names import PAIRS
from tierproof_domains.embedded_fw_c.skill import SHORT_UNSIGNED, UNSIGNED, Case, Skills, case, range_of

SKILLS = Skills()


@SKILLS.family(
    "saturating-add",
    verbs="sat_add add_sat qadd add_clip",
    cores="""
    add {a} and {b}, saturating at {hi}
    return {a} + {b}, but no more than {hi}
    return the saturated sum of {a} and {b} (limit {hi})
    add {b} to {a} and stop at {hi} on overflow
    sum {a} and {b} with saturation to {hi}
    give {a} plus {b}, held at {hi} instead of wrapping
    return {hi} if {a} + {b} overflows, else the sum
    add {a} and {b} without wrap-around: {hi} is the ceiling
    compute min({a} + {b}, {hi}) without overflow
    return the sum of {a} and {b} clipped to {hi}
    do a saturating addition of {a} and {b} up to {hi}
    total {a} and {b}, capped at {hi}
    """,
)
def _saturating_add(chance: random.Random) -> Case:
    t, (x, y) = chance.choice(SHORT_UNSIGNED), chance.choice(PAIRS)
    top = range_of(t)[1]
    hi = top if chance.random() < 0.6 else chance.randint(20, min(top, 5000))  # noqa: PLR2004 - mostly the type's limit

    def form(limit: int, above: int, op: str = ">") -> str:
        return f"uint32_t sum = {x} + {y};\nreturn sum {op} {above}u ? {limit}u : sum;"

    return case(
        t, [(t, x), (t, y)], form(hi, hi), lambda v, w: min(v + w, hi),
        reference=f"if ({x} >= {hi}) {{ return {hi}; }}\nif ({y} > {hi} - {x}) {{ return {hi}; }}\nreturn {x} + {y};",
        wrong=[
            (f"return {x} + {y};", lambda v, w: v + w), (form(hi - 1, hi), lambda v, w: hi - 1 if v + w > hi else v + w),
            (form(hi, hi, "<"), lambda v, w: max(v + w, hi)),
            (form(0, hi), lambda v, w: 0 if v + w > hi else v + w),
        ],
        hi=hi,
    )  # fmt: skip


@SKILLS.family(
    "saturating-subtract",
    verbs="sat_sub sub_sat qsub floor_sub remain",
    cores="""
    subtract {b} from {a}, saturating at 0
    return {a} - {b}, but not below 0
    return {a} minus {b}, or 0 if {b} is larger
    take {b} away from {a} and stop at zero
    give the difference {a} - {b} with saturation at 0
    return 0 if {b} exceeds {a}, else {a} - {b}
    reduce {a} by {b} without going below zero
    subtract {b} from {a} without wrap-around: 0 is the floor
    lower {a} by {b}, at the least to 0
    do a saturating subtraction {a} - {b}
    compute what is left of {a} after {b}, never less than 0
    deduct {b} from {a}, with underflow giving 0
    """,
)
def _saturating_subtract(chance: random.Random) -> Case:
    t, (x, y) = chance.choice(UNSIGNED), chance.choice(PAIRS)
    return case(
        t, [(t, x), (t, y)], f"{x} > {y} ? {x} - {y} : 0", lambda v, w: max(v - w, 0),
        reference=f"if ({y} >= {x}) {{ return 0; }}\nreturn {x} - {y};",
        wrong=[
            (f"{x} - {y}", lambda v, w: v - w), (f"{x} > {y} ? {y} - {x} : 0", lambda v, w: w - v if v > w else 0),
            (f"{x} < {y} ? {x} - {y} : 0", lambda v, w: v - w if v < w else 0),
            (f"{x} > {y} ? {x} - {y} : {y}", lambda v, w: v - w if v > w else w),
        ],
    )  # fmt: skip


def _signed_saturation(chance: random.Random, op: str) -> Case:
    t, (x, y) = chance.choice(("int8_t", "int16_t")), chance.choice(PAIRS)
    lo, hi = range_of(t)

    def form(low: int, high: int) -> str:
        first = f"int32_t r = {x} {op} {y};"
        return f"{first}\nreturn r > {high} ? {high} : (r < {low} ? {low} : r);"

    def whole(v: int, w: int) -> int:
        return v + w if op == "+" else v - w

    return case(
        t, [(t, x), (t, y)], form(lo, hi), lambda v, w: min(max(whole(v, w), lo), hi),
        reference=f"int32_t r = (int32_t){x} {op} {y};\nif (r > {hi}) {{ r = {hi}; }}\nif (r < {lo}) {{ r = {lo}; }}\nreturn r;",
        wrong=[
            (f"{x} {op} {y}", whole), (form(lo + 1, hi), lambda v, w: min(max(whole(v, w), lo + 1), hi)),
            (form(lo, hi - 1), lambda v, w: min(max(whole(v, w), lo), hi - 1)), (form(0, hi), lambda v, w: min(max(whole(v, w), 0), hi)),
        ],
        lo=lo, hi=hi,
    )  # fmt: skip


@SKILLS.family(
    "signed-saturating-add",
    verbs="sat_add add_sat qadd add_clip",
    cores="""
    add {a} and {b}, saturating at {lo} and {hi}
    return {a} + {b} limited to {lo}..{hi}
    return the saturated sum of {a} and {b} in {lo}..{hi}
    sum {a} and {b} with saturation to {lo} and {hi}
    give {a} plus {b}, held within {lo} and {hi}
    add {b} to {a} and clip to {lo}..{hi} instead of wrapping
    do a saturating addition of {a} and {b} between {lo} and {hi}
    return the sum of {a} and {b} clamped to {lo}..{hi}
    add {a} and {b}; overflow gives {hi}, underflow {lo}
    total {a} and {b}, never under {lo} or over {hi}
    compute {a} + {b} without wrap-around, limits {lo} and {hi}
    increase {a} by {b}, bounded by {lo} and {hi}
    """,
)
def _signed_saturating_add(chance: random.Random) -> Case:
    return _signed_saturation(chance, "+")


@SKILLS.family(
    "signed-saturating-subtract",
    verbs="sat_sub sub_sat qsub sub_clip",
    cores="""
    subtract {b} from {a}, saturating at {lo} and {hi}
    return {a} - {b} limited to {lo}..{hi}
    return the saturated difference {a} - {b} in {lo}..{hi}
    take {b} away from {a} with saturation to {lo} and {hi}
    give {a} minus {b}, held within {lo} and {hi}
    subtract {b} from {a} and clip to {lo}..{hi} instead of wrapping
    do a saturating subtraction {a} - {b} between {lo} and {hi}
    return the difference {a} - {b} clamped to {lo}..{hi}
    subtract {b} from {a}; overflow gives {hi}, underflow {lo}
    deduct {b} from {a}, never under {lo} or over {hi}
    compute {a} - {b} without wrap-around, limits {lo} and {hi}
    decrease {a} by {b}, bounded by {lo} and {hi}
    """,
)
def _signed_saturating_subtract(chance: random.Random) -> Case:
    return _signed_saturation(chance, "-")
