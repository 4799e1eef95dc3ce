"""Families of arithmetic that must not overflow on the way: differences, scaling, rounding, averages."""

import random

from tierproof_domains.embedded_fw_c.names import PAIRS, VALUES
from tierproof_domains.embedded_fw_c.skill import SHORT_UNSIGNED, UNSIGNED, Case, Skills, case, range_of

SKILLS = Skills()


@SKILLS.family(
    "absolute-difference",
    verbs="absdiff distance delta gap diff_abs",
    cores="""
    return the absolute difference of {a} and {b}
    return how far apart {a} and {b} are
    compute |{a} - {b}|
    give the distance between {a} and {b}
    subtract the smaller of {a} and {b} from the larger
    return the magnitude of {a} minus {b}
    return the difference of {a} and {b} without its sign
    find by how much {a} and {b} differ
    tell the unsigned gap between {a} and {b}
    return {a} - {b} or {b} - {a}, whichever is not negative
    measure the absolute deviation of {a} from {b}
    calculate the positive difference between {a} and {b}
    """,
)
def _absolute_difference(chance: random.Random) -> Case:
    t, (x, y) = chance.choice((*UNSIGNED, "int8_t", "int16_t")), chance.choice(PAIRS)
    back = t if t.startswith("u") else f"u{t}"
    return case(
        back, [(t, x), (t, y)], f"{x} > {y} ? {x} - {y} : {y} - {x}", lambda v, w: abs(v - w),
        reference=f"if ({x} >= {y}) {{ return {x} - {y}; }}\nreturn {y} - {x};",
        wrong=[
            (f"{x} - {y}", lambda v, w: v - w), (f"{x} < {y} ? {x} - {y} : {y} - {x}", lambda v, w: -abs(v - w)),
            (f"{x} > {y} ? {x} - {y} : 0", lambda v, w: max(v - w, 0)),
        ],
    )  # fmt: skip


@SKILLS.family(
    "average",
    verbs="avg mean average midpoint mid",
    cores="""
    return the average of {a} and {b}, without overflow
    return the mean of {a} and {b}, truncated
    compute ({a} + {b}) / 2 without overflow
    give half of the sum of {a} and {b}
    average {a} and {b} in integer arithmetic
    return the midpoint of {a} and {b}, rounded toward zero
    halve {a} + {b}, with no overflow in between
    find the integer mean of {a} and {b}
    add {a} and {b} in 32 bits and divide by 2
    return the arithmetic mean of {a} and {b}, fraction dropped
    calculate the truncated mean of the two values {a} and {b}
    take the average of {a} and {b}
    """,
)
def _average(chance: random.Random) -> Case:
    t, (x, y) = chance.choice(("uint8_t", "uint16_t", "int8_t", "int16_t")), chance.choice(PAIRS)
    wide = "uint32_t" if t.startswith("u") else "int32_t"
    return case(
        t, [(t, x), (t, y)], f"(({wide}){x} + {y}) / 2", lambda v, w: int((v + w) / 2),
        reference=f"int32_t sum = {x};\nsum += {y};\nreturn (sum - sum % 2) / 2;",
        wrong=[
            (f"{x} + {y} / 2", lambda v, w: v + int(w / 2)), (f"(({wide}){x} + {y} + 1) / 2", lambda v, w: int((v + w + 1) / 2)),
            (f"({wide}){x} + {y}", lambda v, w: v + w), (f"({t})({x} + {y}) / 2", lambda v, w: _halved(v + w, t)),
        ],
    )  # fmt: skip


def _halved(value: int, kind: str) -> int:
    low, high = range_of(kind)
    return int(((value - low) % (high - low + 1) + low) / 2)


@SKILLS.family(
    "rounding-division",
    verbs="div_round rdiv scale_down div_near",
    cores="""
    divide {a} by {n}, rounding to nearest
    return {a} / {n} rounded to the nearest integer
    return {a} over {n}, with half rounded up
    give the rounded quotient of {a} and {n}
    compute {a} / {n} with rounding instead of truncation
    scale {a} down by {n}, rounded to nearest
    divide {a} by {n} and round half up
    return the integer nearest to {a} / {n}
    do a rounding division of {a} by {n}
    find {a} divided by {n}, to the nearest whole number
    calculate round({a} / {n})
    reduce {a} by the factor {n} with correct rounding
    """,
)
def _rounding_division(chance: random.Random) -> Case:
    t, x = chance.choice(SHORT_UNSIGNED), chance.choice(VALUES)
    n = chance.choice((4, 6, 8, 10, 12, 16, 20, 24, 32, 50, 60, 64, 100, 120, 128))
    return case(
        t, [(t, x)], f"((uint32_t){x} + {n}u / 2u) / {n}u", lambda v: (v + n // 2) // n,
        reference=f"uint32_t q = {x} / {n}u;\nuint32_t r = {x} % {n}u;\nreturn 2u * r >= {n}u ? q + 1u : q;",
        wrong=[
            (f"{x} / {n}u", lambda v: v // n), (f"((uint32_t){x} + {n}u) / {n}u", lambda v: (v + n) // n),
            (f"((uint32_t){x} + {n}u - 1u) / {n}u", lambda v: (v + n - 1) // n), (f"((uint32_t){x} + 2u) / {n}u", lambda v: (v + 2) // n),
        ],
        n=n,
    )  # fmt: skip


@SKILLS.family(
    "counts-to-millivolts",
    verbs="to_mv mv millivolt volts convert counts_mv",
    cores="""
    convert {a} to millivolts: {m} counts are {n} mV
    return the millivolts of {a}, where {m} means {n} mV
    scale ADC counts {a} so that {m} gives {n} mV
    turn {a} into mV with full scale {m} = {n} mV
    compute {a} * {n} / {m} in 32 bits
    convert counts {a} of a converter with {n} mV at {m}
    give {a} in mV, reference {n} mV, full scale {m} counts
    translate raw {a} into millivolts ({n} mV at {m} counts)
    return {a} counts as mV; {n} mV correspond to {m} counts
    map {a} to millivolts, 0..{m} onto 0..{n}
    calculate the voltage of {a} in mV: {n} mV is {m} counts
    express {a} in millivolts given {m} counts for {n} mV
    """,
)
def _counts_to_millivolts(chance: random.Random) -> Case:
    x = chance.choice(("raw", "counts", "adc", "code", "sample", "cnt", "adc_raw", "reading"))
    n = chance.choice((1100, 1200, 1800, 2048, 2500, 3000, 3300, 4096, 5000, 10000, 12000, 24000))
    m = chance.choice((255, 256, 1023, 1024, 4095, 4096, 16383, 16384, 32768, 65535))
    return case(
        "uint32_t", [("uint16_t", x)], f"(uint32_t){x} * {n}u / {m}u", lambda v: v * n // m,
        reference=f"uint32_t whole = {x} / {m}u;\nuint32_t rest = {x} % {m}u;\nreturn whole * {n}u + rest * {n}u / {m}u;",
        wrong=[
            (f"(uint32_t){x} * {m}u / {n}u", lambda v: v * m // n), (f"(uint32_t){x} / {m}u * {n}u", lambda v: v // m * n),
            (f"(uint16_t)({x} * {n}u) / {m}u", lambda v: (v * n & 0xFFFF) // m),
            (f"(uint32_t){x} * {n}u / {m + 1 if m % 2 else m - 1}u", lambda v: v * n // (m + 1 if m % 2 else m - 1)),
        ],
        n=n, m=m,
    )  # fmt: skip


@SKILLS.family(
    "fixed-point-multiply",
    verbs="qmul mul_q fmul scale q_mult",
    cores="""
    multiply the Q{n} numbers {a} and {b}, rounded
    return {a} times {b} in Q{n} with rounding
    compute the rounded Q{n} product of {a} and {b}
    multiply {a} by {b} in Q{n}, rounding to nearest
    give the Q{n} product of {a} and {b}, rounded half up
    form {a} * {b} in 32 bits, add half an LSB and shift right by {n}
    do a rounding fixed-point multiply of {a} and {b}, {n} fraction bits
    return ({a} * {b}) >> {n} with rounding
    scale {a} by the Q{n} factor {b}, with rounding
    calculate the product of {a} and {b}, both Q{n}, rounded
    multiply {a} and {b} with {n} fractional bits and round
    take the fixed-point product of {a} and {b} in Q{n}, rounded
    """,
)
def _fixed_point_multiply(chance: random.Random) -> Case:
    n, (x, y) = chance.choice((15, 15, 14, 13, 12, 11, 10, 9, 8, 8, 7, 6)), chance.choice(PAIRS)

    def form(half: int, shift: int) -> str:
        return f"((int32_t){x} * {y} + (1 << {half})) >> {shift}"

    return case(
        "int32_t", [("int16_t", x), ("int16_t", y)], form(n - 1, n), lambda v, w: v * w + (1 << n - 1) >> n,
        reference=f"int64_t whole = (int64_t){x} * {y};\nint64_t kept = whole >> {n};\nreturn kept + ((whole >> {n - 1}) & 1);",
        wrong=[
            (f"((int32_t){x} * {y}) >> {n}", lambda v, w: v * w >> n), (form(n, n), lambda v, w: v * w + (1 << n) >> n),
            (form(n - 2, n - 1), lambda v, w: v * w + (1 << n - 2) >> n - 1), (f"({x} + {y}) >> {n}", lambda v, w: v + w >> n),
        ],
        n=n,
    )  # fmt: skip


@SKILLS.family(
    "interpolation",
    verbs="lerp interp blend mix fade",
    cores="""
    interpolate linearly from {a} to {b} by {c}/{n}
    return the value {c}/{n} of the way from {a} to {b}
    blend {a} into {b} with weight {c} of {n}
    compute {a} + ({b} - {a}) * {c} / {n}
    give the point between {a} and {b} at {c} out of {n}
    mix {a} and {b}: at {c} = 0 it is {a}, at {n} it would be {b}
    move from {a} toward {b} by the fraction {c}/{n}
    do linear interpolation of {a} and {b}, position {c} in {n}ths
    fade from {a} to {b}, progress {c} of {n}
    step {c}/{n} of the difference from {a} to {b} and add it to {a}
    return {a} plus {c}/{n} of the difference {b} - {a}
    find the linear intermediate of {a} and {b} for {c} of {n} parts
    """,
)
def _interpolation(chance: random.Random) -> Case:
    t, (x, y) = chance.choice(("int16_t", "uint8_t")), chance.choice(PAIRS)
    f, n = chance.choice(("t", "frac", "pos", "w", "alpha", "k")), chance.choice((100, 128, 200, 250, 255, 256))
    back = "int32_t"
    return case(
        back, [(t, x), (t, y), ("uint8_t", f)], f"{x} + ((int32_t){y} - {x}) * {f} / {n}",
        lambda v, w, p: v + int((w - v) * p / n),
        reference=f"int32_t way = {y} - {x};\nint32_t part = (way < 0 ? -way : way) * {f} / {n};\n"
        f"return way < 0 ? {x} - part : {x} + part;",
        wrong=[
            (f"((int32_t){y} - {x}) * {f} / {n}", lambda v, w, p: int((w - v) * p / n)),
            (f"{x} + ((int32_t){x} - {y}) * {f} / {n}", lambda v, w, p: v + int((v - w) * p / n)),
            (f"{x} + ((int32_t){y} - {x}) / {n} * {f}", lambda v, w, p: v + int((w - v) / n) * p),
            (f"{y} + ((int32_t){y} - {x}) * {f} / {n}", lambda v, w, p: w + int((w - v) * p / n)),
        ],
        n=n,
    )  # fmt: skip
