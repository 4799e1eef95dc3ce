"""Families on the bits of a value as a code: parity, count, sign, Gray, BCD."""

import random

from tierproof_domains.embedded_fw_c.names import REGISTERS, VALUES
from tierproof_domains.embedded_fw_c.skill import BITS, SHORT_UNSIGNED, UNSIGNED, Case, Skills, case

SKILLS = Skills()


@SKILLS.family(
    "parity",
    verbs="parity odd_ones par parity_bit is_odd_par",
    cores="""
    return 1 if {a} has an odd number of ones, else 0
    compute the parity of {a}: 1 for an odd count of ones
    give the XOR of all bits of {a}
    return the parity bit of {a}, 1 when the count of ones is odd
    tell by 1 that {a} holds an odd number of set bits, by 0 an even one
    return how many bits of {a} are set, modulo 2
    xor the bits of {a} together
    calculate the even-parity bit of {a}
    return 0 for an even and 1 for an odd number of set bits in {a}
    fold {a} by XOR down to one bit
    find the bit that makes the number of ones in {a} even
    determine whether the ones in {a} are odd (1) or even (0) in number
    """,
)
def _parity(chance: random.Random) -> Case:
    t, x = chance.choice(SHORT_UNSIGNED), chance.choice((*VALUES, *REGISTERS))
    shifts = (8, 4, 2, 1) if t == "uint16_t" else (4, 2, 1)

    def form(steps: tuple[int, ...], last: str) -> str:
        return "\n".join([*(f"{x} ^= {x} >> {step};" for step in steps), last])

    return case(
        "uint8_t", [(t, x)], form(shifts, f"return {x} & 1u;"), lambda v: v.bit_count() & 1,
        reference=f"uint8_t odd = 0;\nfor (; {x} != 0; {x} >>= 1) {{ odd ^= {x} & 1u; }}\nreturn odd;",
        wrong=[
            (form(shifts, f"return ~{x} & 1u;"), lambda v: ~v.bit_count() & 1), (f"{x} & 1u", lambda v: v & 1),
            (form(shifts[1:], f"return {x} & 1u;"), lambda v: (v & (1 << 2 * shifts[1]) - 1).bit_count() & 1),
        ],
    )  # fmt: skip


@SKILLS.family(
    "count-ones",
    verbs="popcount ones count_ones bits_set weight num_set",
    cores="""
    count the ones in {a}
    return the number of set bits of {a}
    return how many bits of {a} are 1
    compute the population count of {a}
    give the Hamming weight of {a}
    tell how many bits in {a} are set
    count the bits of {a} that are on
    return the count of 1 bits in {a}
    find out how many flags are set in {a}
    add up the bits of {a}
    sum all binary digits of {a}
    determine the number of high bits in {a}
    """,
)
def _count_ones(chance: random.Random) -> Case:
    t, x = chance.choice(UNSIGNED), chance.choice((*VALUES, *REGISTERS))

    def form(start: int, change: str) -> str:
        return f"uint8_t n = {start};\nwhile ({x} != 0) {{\n    {change}\n    n++;\n}}\nreturn n;"

    return case(
        "uint8_t", [(t, x)], form(0, f"{x} &= {x} - 1u;"), lambda v: v.bit_count(),
        reference=f"uint8_t n = 0;\nfor (int i = 0; i < {BITS[t]}; i++) {{ n += ({x} >> i) & 1u; }}\nreturn n;",
        wrong=[
            (form(0, f"{x} >>= 1;"), lambda v: v.bit_length()), (form(1, f"{x} &= {x} - 1u;"), lambda v: v.bit_count() + 1),
            (f"{x} & 1u", lambda v: v & 1),
        ],
    )  # fmt: skip


@SKILLS.family(
    "sign-extend",
    verbs="sext sign_ext to_signed extend decode_signed",
    cores="""
    sign-extend the low {n} bits of {a}
    return the low {n} bits of {a} as a signed number
    interpret {a} as {n}-bit two's complement
    convert the {n}-bit value {a} to signed
    extend bit {k} of {a} as the sign over all higher bits
    treat {a} as a signed {n}-bit number and return it
    decode a {n}-bit two's complement reading in {a}
    give the signed value of the lower {n} bits of {a}
    make an integer of {a}, whose bit {k} is the sign of {n} bits
    widen the signed {n}-bit quantity in {a}
    read {n} bits of {a} as two's complement
    turn the raw {n}-bit {a} into a signed value
    """,
)
def _sign_extend(chance: random.Random) -> Case:
    x, n = chance.choice((*VALUES, "adc", "bits", "temp")), chance.randint(4, 15)

    def form(width: int, sign: int) -> str:
        return f"int32_t v = {x} & ((1 << {width}) - 1);\nreturn (v ^ (1 << {sign})) - (1 << {sign});"

    def value(v: int, width: int, sign: int) -> int:
        return (v & (1 << width) - 1 ^ 1 << sign) - (1 << sign)

    if x == "v":
        x = "value"
    return case(
        "int32_t", [("uint16_t", x)], form(n, n - 1), lambda v: value(v, n, n - 1),
        reference=f"int32_t low = {x} % {1 << n};\nreturn low >= {1 << n - 1} ? low - {1 << n} : low;",
        wrong=[
            (form(n + 1, n), lambda v: value(v, n + 1, n)), (f"{x} & ((1 << {n}) - 1)", lambda v: v & (1 << n) - 1),
            (f"(int16_t){x}", lambda v: v - (v >> 15 << 16)), (form(n, n), lambda v: value(v, n, n)),
        ],
        n=n, k=n - 1,
    )  # fmt: skip


@SKILLS.family(
    "to-gray",
    verbs="to_gray gray bin2gray encode gray_of",
    cores="""
    convert binary {a} to Gray code
    return the Gray code of {a}
    encode {a} as Gray code
    give {a} in reflected binary Gray code
    turn the binary number {a} into Gray code
    compute the Gray value for {a}
    xor {a} with itself shifted right by one
    translate {a} from plain binary to Gray
    make a Gray code word out of {a}
    return {a} Gray-coded
    map the counter {a} to its Gray code
    produce the Gray representation of {a}
    """,
)
def _to_gray(chance: random.Random) -> Case:
    t, x = chance.choice(UNSIGNED), chance.choice((*VALUES, "bin", "count", "pos", "n", "idx"))
    return case(
        t, [(t, x)], f"{x} ^ ({x} >> 1)", lambda v: v ^ v >> 1,
        reference=f"uint32_t half = {x} / 2u;\nreturn ({x} | half) - ({x} & half);",
        wrong=[
            (f"{x} ^ ({x} << 1)", lambda v: v ^ v << 1), (f"{x} ^ ({x} >> 2)", lambda v: v ^ v >> 2),
            (f"{x} | ({x} >> 1)", lambda v: v | v >> 1), (f"{x} >> 1", lambda v: v >> 1),
        ],
    )  # fmt: skip


@SKILLS.family(
    "from-bcd",
    verbs="from_bcd bcd2bin bcd_to_bin unbcd decode_bcd",
    cores="""
    convert the BCD byte {a} to binary
    return the number that {a} holds in BCD
    decode packed BCD {a} into a binary value
    turn two BCD digits in {a} into a number
    give the value of {a}, tens in the high nibble, ones in the low
    read {a} as two decimal digits, one per nibble
    translate {a} from BCD to plain binary
    compute ten times the high nibble of {a} plus its low nibble
    interpret {a} as packed BCD
    unpack the two-digit BCD {a} to an integer
    return binary for BCD input {a}
    make a plain number out of the BCD coded {a}
    """,
)
def _from_bcd(chance: random.Random) -> Case:
    x = chance.choice(("bcd", "sec", "min", "hour", "day", "raw", "reg", "value", "digits", "code"))
    return case(
        "uint8_t", [("uint8_t", x)], f"({x} >> 4) * 10 + ({x} & 0x0Fu)", lambda v: (v >> 4) * 10 + (v & 15),
        reference=f"return {x} - ({x} / 16u) * 6u;",
        wrong=[
            (f"({x} >> 4) * 16 + ({x} & 0x0Fu)", lambda v: v), (f"({x} & 0x0Fu) * 10 + ({x} >> 4)", lambda v: (v & 15) * 10 + (v >> 4)),
            (f"({x} / 10) * 16 + {x} % 10", lambda v: v // 10 * 16 + v % 10),
        ],
    )  # fmt: skip


@SKILLS.family(
    "to-bcd",
    verbs="to_bcd bin2bcd bin_to_bcd bcd encode_bcd",
    cores="""
    convert {a} (0..99) to packed BCD
    return {a}, at most 99, as a BCD byte
    encode {a} in 0..99 as BCD
    turn {a} below 100 into two BCD digits
    put the tens of {a} in the high nibble and the ones in the low
    give the BCD code of {a}, 0 to 99
    translate {a} from plain binary (up to 99) to BCD
    write {a} as two decimal digits, one per nibble
    make a packed BCD byte of {a}, range 0..99
    pack the two decimal digits of {a} into one byte
    return the BCD form of the number {a} (not over 99)
    compute the RTC's BCD value for {a} from 0 to 99
    """,
)
def _to_bcd(chance: random.Random) -> Case:
    x = chance.choice(("bin", "sec", "min", "hour", "day", "num", "value", "n", "count", "year"))
    return case(
        "uint8_t", [("uint8_t", x, 0, 99)], f"(({x} / 10) << 4) | ({x} % 10)", lambda v: v // 10 << 4 | v % 10,
        reference=f"return {x} + ({x} / 10u) * 6u;",
        wrong=[
            (f"({x} >> 4) * 10 + ({x} & 0x0Fu)", lambda v: (v >> 4) * 10 + (v & 15)),
            (f"(({x} % 10) << 4) | ({x} / 10)", lambda v: v % 10 << 4 | v // 10),
            (f"(({x} / 16) << 4) | ({x} % 16)", lambda v: v),
        ],
    )  # fmt: skip


@SKILLS.family(
    "power-of-two",
    verbs="is_pow2 pow2 one_bit is_aligned_size single_bit",
    cores="""
    tell whether {a} is a power of two
    return true if {a} is a power of 2
    check that {a} has exactly one bit set
    return true when exactly one bit of {a} is 1
    report if {a} is 1, 2, 4, 8 and so on
    test {a} for being a power of two; 0 is none
    be true for powers of two in {a} only
    say if {a} equals 2 to some whole power
    find out whether a single bit is set in {a}
    return false for 0 and for any {a} with more than one bit set
    see whether {a} is a whole power of two
    answer if precisely one flag is up in {a}
    """,
)
def _power_of_two(chance: random.Random) -> Case:
    t, x = chance.choice(UNSIGNED), chance.choice((*VALUES, "size", "len", "n", "align", "depth"))
    return case(
        "bool", [(t, x)], f"{x} != 0 && ({x} & ({x} - 1u)) == 0", lambda v: int(v.bit_count() == 1),
        reference=f"int ones = 0;\nfor (; {x} != 0; {x} >>= 1) {{ ones += {x} & 1u; }}\nreturn ones == 1;",
        wrong=[
            (f"({x} & ({x} - 1u)) == 0", lambda v: int(v.bit_count() < 2)),  # noqa: PLR2004 - zero or one
            (f"{x} != 0 && ({x} & ({x} - 1u)) != 0", lambda v: int(v.bit_count() > 1)), (f"{x} % 2u == 0", lambda v: int(v % 2 == 0)),
        ],
    )  # fmt: skip
