"""Families that move and count bits: rotation, packing, parity, codes."""

import random

from tierproof_domains.embedded_fw_c.names import REGISTERS, VALUES
from tierproof_domains.embedded_fw_c.skill import BITS, UNSIGNED, Case, Oracle, Skills, case

SKILLS = Skills()


def _rotation(chance: random.Random, ahead: str, back: str) -> Case:
    t, x = chance.choice(UNSIGNED), chance.choice(REGISTERS)
    bits = BITS[t]
    n = chance.randint(1, bits - 1)

    def turned(v: int, by: int) -> int:
        by = by % bits if ahead == "<<" else -by % bits
        return v << by | v >> bits - by

    m = n + 1 if n + 1 < bits else n - 1 or 2
    return case(
        t, [(t, x)], f"({x} {ahead} {n}) | ({x} {back} ({bits} - {n}))", lambda v: turned(v, n),
        reference=f"uint64_t twice = ((uint64_t){x} << {bits}) | {x};\n"
        f"return twice >> {bits - n if ahead == '<<' else n};",
        wrong=[
            (f"({x} {back} {n}) | ({x} {ahead} ({bits} - {n}))", lambda v: turned(v, bits - n)),
            (f"({x} {ahead} {m}) | ({x} {back} ({bits} - {m}))", lambda v: turned(v, m)),
            (f"{x} {ahead} {n}", lambda v: v << n if ahead == "<<" else v >> n),
            (f"({x} {ahead} {n}) & ({x} {back} ({bits} - {n}))",
             lambda v: (v << n) % 2**bits & v >> bits - n if ahead == "<<" else v >> n & (v << bits - n) % 2**bits),
        ],
        n=n, bits=bits,
    )  # fmt: skip


@SKILLS.family(
    "rotate-left",
    verbs="rol rotl rotate_left rotate spin_left",
    cores="""
    rotate {a} left by {n}
    return {a} rotated {n} bits to the left
    rotate the {bits} bits of {a} left {n} places
    give {a} after a left rotation by {n}
    do a circular left shift of {a} by {n}
    turn {a} left by {n} bits, bits that fall out re-enter on the right
    rol {a} by {n}
    shift {a} left circularly, {n} positions
    return the {bits}-bit left rotate of {a} by {n}
    move every bit of {a} up {n} places, wrapping around
    left-rotate {a}, {n} bits
    wrap {a} around to the left by {n} bits
    """,
)
def _rotate_left(chance: random.Random) -> Case:
    return _rotation(chance, "<<", ">>")


@SKILLS.family(
    "rotate-right",
    verbs="ror rotr rotate_right rotate spin_right",
    cores="""
    rotate {a} right by {n}
    return {a} rotated {n} bits to the right
    rotate the {bits} bits of {a} right {n} places
    give {a} after a right rotation by {n}
    do a circular right shift of {a} by {n}
    turn {a} right by {n} bits, bits that fall out re-enter on the left
    ror {a} by {n}
    shift {a} right circularly, {n} positions
    return the {bits}-bit right rotate of {a} by {n}
    move every bit of {a} down {n} places, wrapping around
    right-rotate {a}, {n} bits
    wrap {a} around to the right by {n} bits
    """,
)
def _rotate_right(chance: random.Random) -> Case:
    return _rotation(chance, ">>", "<<")


@SKILLS.family(
    "swap-bytes",
    verbs="swap bswap swap16 htons rev16 byteswap",
    cores="""
    swap the two bytes of {a}
    return {a} with its bytes swapped
    exchange high and low byte of {a}
    reverse the byte order of {a}
    convert {a} from big to little endian
    change the endianness of {a}
    give {a} with the upper and lower byte exchanged
    flip the bytes of {a}
    return the byte-swapped {a}
    put the low byte of {a} on top and the high byte below
    turn {a} from network into the opposite byte order
    interchange both bytes of {a}
    """,
)
def _swap_bytes(chance: random.Random) -> Case:
    x = chance.choice((*REGISTERS, *VALUES, "be", "le", "net", "half", "id", "len", "addr"))
    return case(
        "uint16_t", [("uint16_t", x)], f"({x} << 8) | ({x} >> 8)", lambda v: v << 8 | v >> 8,
        reference=f"return {x} / 256u + ({x} % 256u) * 256u;",
        wrong=[
            (f"({x} << 4) | ({x} >> 4)", lambda v: v << 4 | v >> 4), (f"({x} << 8) & ({x} >> 8)", lambda v: (v << 8 & 0xFF0000) & v >> 8),
            (f"{x} >> 8", lambda v: v >> 8), (f"{x} << 8", lambda v: v << 8),
        ],
    )  # fmt: skip


@SKILLS.family(
    "pack-bytes",
    verbs="pack join combine make16 word_of from_bytes",
    cores="""
    combine {a} (high byte) and {b} (low byte) into 16 bits
    return a word with {a} as upper and {b} as lower byte
    join {a} and {b} into one word, {a} on top
    build a 16-bit value: {a} is the MSB, {b} the LSB
    put {a} in bits 15..8 and {b} in bits 7..0
    make a word of high byte {a} and low byte {b}
    pack {a} above {b} in a 16-bit word
    concatenate {a} and {b}, most significant byte first
    return {a} * 256 + {b}
    assemble 16 bits from {a} (upper half) and {b} (lower half)
    give the word whose high byte is {a} and low byte is {b}
    merge both bytes into a word; {b} is the less significant one
    """,
)
def _pack_bytes(chance: random.Random) -> Case:
    x, y = chance.choice((("hi", "lo"), ("msb", "lsb"), ("high", "low"), ("upper", "lower"), ("h", "l"), ("b1", "b0")))
    low_first = chance.random() < 0.25  # noqa: PLR2004 - sometimes the order of parameters is the other one
    parameters = [("uint8_t", each) for each in ((y, x) if low_first else (x, y))]

    def form(high: int, low: int) -> Oracle:
        """Return what puts one argument above the other, for arguments in the order of the parameters."""
        return lambda p, q: (q << high | p << low) if low_first else (p << high | q << low)

    return case(
        "uint16_t", parameters, f"((uint16_t){x} << 8) | {y}", form(8, 0),
        reference=f"return {x} * 256u + {y};",
        wrong=[
            (f"((uint16_t){y} << 8) | {x}", form(0, 8)), (f"((uint16_t){x} << 4) | {y}", form(4, 0)),
            (f"((uint16_t){x} << 8) & {y}", lambda p, q: 0),  # noqa: ARG005 - nothing is common
        ],
        a=x, b=y,
    )  # fmt: skip


@SKILLS.family(
    "pack-nibbles",
    verbs="pack nibbles join_nib merge to_byte",
    cores="""
    pack the low nibbles of {a} (high) and {b} (low) into a byte
    put the low 4 bits of {a} above the low 4 bits of {b}
    make a byte with nibble {a} on top and nibble {b} below
    combine nibbles: {a} in bits 7..4, {b} in bits 3..0
    return a byte whose high nibble is {a} and low nibble {b}
    join two nibbles into one byte, {a} is the upper one
    merge the lower halves of {a} and {b}, that of {a} first
    build a byte from high nibble {a} and low nibble {b}
    pack {a} and {b}, four bits each, {a} in the upper half
    concatenate nibble {a} and nibble {b} to a byte
    store nibble {a} in the upper and nibble {b} in the lower half of a byte
    give one byte for two 4-bit values, {a} being the more significant
    """,
)
def _pack_nibbles(chance: random.Random) -> Case:
    x, y = chance.choice(
        (("hi", "lo"), ("high", "low"), ("upper", "lower"), ("h", "l"), ("n1", "n0"), ("a", "b"), ("tens", "ones"))
    )
    return case(
        "uint8_t", [("uint8_t", x), ("uint8_t", y)], f"(({x} & 0x0Fu) << 4) | ({y} & 0x0Fu)",
        lambda v, w: (v & 15) << 4 | w & 15,
        reference=f"return ({x} % 16u) * 16u + {y} % 16u;",
        wrong=[
            (f"({x} << 4) | {y}", lambda v, w: v << 4 | w), (f"(({y} & 0x0Fu) << 4) | ({x} & 0x0Fu)", lambda v, w: (w & 15) << 4 | v & 15),
            (f"(({x} & 0x0Fu) << 8) | ({y} & 0x0Fu)", lambda v, w: (v & 15) << 8 | w & 15),
        ],
    )  # fmt: skip
