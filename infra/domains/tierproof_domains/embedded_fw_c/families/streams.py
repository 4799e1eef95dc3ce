"""Families that take in one byte or sample after another."""

import random

from tierproof_domains.embedded_fw_c.skill import Case, Skills, case

SKILLS = Skills()


def _crc8(crc: int, byte: int, poly: int) -> int:
    crc ^= byte
    for _ in range(8):
        crc = (crc << 1 ^ poly if crc & 0x80 else crc << 1) & 0xFF
    return crc


@SKILLS.family(
    "crc8-step",
    verbs="crc8 crc crc_step crc_byte crc_update",
    cores="""
    update CRC-8 {a} with byte {b}, polynomial 0x{p}
    feed {b} into the CRC-8 {a} with polynomial 0x{p}, MSB first
    return the CRC-8 (poly 0x{p}) of {a} after byte {b}
    do one byte step of CRC-8 0x{p}: state {a}, input {b}
    fold {b} into {a} by CRC-8 with 0x{p}
    compute the next CRC-8 from {a} and {b}, generator 0x{p}
    advance the 8-bit CRC {a} over {b}; the polynomial is 0x{p}
    xor {b} into {a}, then 8 CRC shifts with polynomial 0x{p}
    add byte {b} to the running CRC-8 {a}, poly 0x{p}
    carry CRC-8 {a} on by {b}, left-shifting, with 0x{p}
    give the CRC-8 after {b} when it was {a} before, polynomial 0x{p}
    process {b} for CRC-8 state {a}, poly 0x{p}, not reflected
    """,
)
def _crc8_step(chance: random.Random) -> Case:
    poly = chance.choice((0x07, 0x31, 0x1D, 0x9B, 0x2F, 0xD5, 0x39, 0x49, 0xA7, 0xEA))
    x, y = chance.choice((("crc", "data"), ("crc", "byte"), ("c", "d"), ("crc", "in"), ("acc", "b"), ("crc", "next")))

    def form(p: str) -> str:
        shifted = f"{x} = ({x} << 1) ^ (({x} & 0x80) ? {p} : 0);"
        return f"{x} ^= {y};\nfor (int i = 0; i < 8; i++) {{\n    {shifted}\n}}\nreturn {x};"

    other = poly ^ 0x10
    return case(
        "uint8_t", [("uint8_t", x), ("uint8_t", y)], form(f"0x{poly:02X}"), lambda v, w: _crc8(v, w, poly),
        reference=f"uint32_t r = (uint32_t)({x} ^ {y}) << 8;\n"
        f"for (int bit = 15; bit >= 8; bit--) {{ if ((r >> bit) & 1u) {{ r ^= {0x100 | poly}u << (bit - 8); }} }}\nreturn r;",
        wrong=[
            (form(f"0x{other:02X}"), lambda v, w: _crc8(v, w, other)), (f"{x} ^ {y}", lambda v, w: v ^ w),
            (f"({x} ^ {y}) ^ 0x{poly:02X}u", lambda v, w: v ^ w ^ poly),
        ],
        p=f"{poly:02X}",
    )  # fmt: skip


@SKILLS.family(
    "checksum-step",
    verbs="sum checksum add_byte cks lrc",
    cores="""
    add byte {b} to checksum {a}, modulo {n}
    return the checksum {a} plus {b}, mod {n}
    update the sum {a} with {b}, remainder by {n}
    do one checksum step: ({a} + {b}) mod {n}
    accumulate {b} into {a} modulo {n}
    fold {b} into the running sum {a} with modulus {n}
    give the next checksum from {a} and {b}, taken mod {n}
    sum {a} and {b} and keep the remainder of division by {n}
    compute {a} + {b}, reduced modulo {n}
    advance checksum {a} by byte {b}, modulus {n}
    include {b} in the modulo-{n} sum {a}
    return what is left of {a} + {b} after dividing by {n}
    """,
)
def _checksum_step(chance: random.Random) -> Case:
    x, y = chance.choice((("sum", "b"), ("sum", "byte"), ("acc", "data"), ("chk", "d"), ("s", "in"), ("cks", "next")))
    n = chance.choice((255, 251, 256, 127, 128, 97, 100, 113, 199, 65521, 65535, 1000, 509, 1021))
    t = "uint8_t" if n <= 256 else "uint16_t"  # noqa: PLR2004 - remainders fit a byte
    return case(
        t, [(t, x), ("uint8_t", y)], f"((uint32_t){x} + {y}) % {n}u", lambda v, w: (v + w) % n,
        reference=f"uint32_t rest = {x};\nrest += {y};\nwhile (rest >= {n}u) {{ rest -= {n}u; }}\nreturn rest;",
        wrong=[
            (f"((uint32_t){x} + {y}) % {n + 1}u", lambda v, w: (v + w) % (n + 1)),
            (f"((uint32_t){x} + {y}) / {n}u", lambda v, w: (v + w) // n),
            (f"({t})({x} + {y}) % {n}u", lambda v, w: (v + w) % (256 if t == "uint8_t" else 65536) % n), (f"{x} + {y}", lambda v, w: v + w),
        ],
        n=n,
    )  # fmt: skip


@SKILLS.family(
    "moving-average",
    verbs="filter smooth ema lowpass iir",
    cores="""
    return {a} moved 1/{n} of the way to {b}
    low-pass filter: {a} + ({b} - {a}) / {n}
    smooth {b}: add 1/{n} of its difference from {a} to {a}
    update average {a} with {b}, weight 1/{n}
    step the filter state {a} toward {b} by a {n}th of the gap
    do one step of exponential smoothing of {b} into {a}, factor 1/{n}
    add ({b} - {a}) / {n} to {a}
    give the new mean {a} after sample {b}, where 1/{n} of the error counts
    apply an IIR filter to {a} with input {b} and gain 1/{n}
    let {a} follow {b} with the fraction 1/{n} of their distance
    correct {a} by one {n}th of {b} minus {a}
    move the average {a} to {b} by the difference over {n}
    """,
)
def _moving_average(chance: random.Random) -> Case:
    t = chance.choice(("uint16_t", "int16_t", "uint8_t"))
    x, y = chance.choice(
        (("avg", "x"), ("avg", "sample"), ("state", "in"), ("y", "x"), ("mean", "raw"), ("filt", "val"))
    )
    n = chance.choice((2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 32, 64))
    return case(
        t, [(t, x), (t, y)], f"{x} + ((int32_t){y} - {x}) / {n}", lambda v, w: v + int((w - v) / n),
        reference=f"if ({y} >= {x}) {{ return {x} + ({y} - {x}) / {n}; }}\nreturn {x} - ({x} - {y}) / {n};",
        wrong=[
            (f"{x} + ((int32_t){x} - {y}) / {n}", lambda v, w: v + int((v - w) / n)),
            (f"((int32_t){y} - {x}) / {n}", lambda v, w: int((w - v) / n)),
            (f"({x} + {y}) / {n}", lambda v, w: int((v + w) / n)), (f"{y} + ((int32_t){y} - {x}) / {n}", lambda v, w: w + int((w - v) / n)),
        ],
        n=n,
    )  # fmt: skip
