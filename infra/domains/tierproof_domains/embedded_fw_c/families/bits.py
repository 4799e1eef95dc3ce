"""Families on single bits and fields of registers."""

import random

from tierproof_domains.embedded_fw_c.names import FIELDS, REGISTERS
from tierproof_domains.embedded_fw_c.skill import BITS, UNSIGNED, Case, Skills, case

SKILLS = Skills()
_NEITHER = 31  # shifting by more is undefined


def _register(chance: random.Random) -> tuple[str, str, int]:
    kind = chance.choice(UNSIGNED)
    return kind, chance.choice(REGISTERS), chance.randrange(BITS[kind])


def _neighbour(n: int) -> int:
    return n + 1 if n < _NEITHER else n - 1


@SKILLS.family(
    "set-bit",
    verbs="set_bit set_flag enable raise_flag mark turn_on",
    cores="""
    set bit {n} of {a} and return it
    return {a} with bit {n} set
    turn bit {n} of {a} on
    make bit {n} in {a} a one, all other bits as they are
    force bit {n} of {a} to 1
    give back {a} with bit number {n} switched on
    raise bit {n} in {a}, leaving the others alone
    return {a} after setting its bit {n}
    set bit {n} in {a} without touching the rest
    enable bit {n} of {a}
    write a 1 to bit {n} of {a} and keep the others
    switch on bit {n} of {a}
    """,
)
def _set_bit(chance: random.Random) -> Case:
    t, x, n = _register(chance)
    m = _neighbour(n)
    return case(
        t, [(t, x)], f"{x} | (1u << {n})", lambda v: v | 1 << n,
        reference=f"{x} - ({x} & (1u << {n})) + (1u << {n})",
        wrong=[
            (f"{x} | (1u << {m})", lambda v: v | 1 << m), (f"{x} ^ (1u << {n})", lambda v: v ^ 1 << n),
            (f"{x} | {n}u", lambda v: v | n), (f"{x} & ~(1u << {n})", lambda v: v & ~(1 << n)),
        ],
        n=n,
    )  # fmt: skip


@SKILLS.family(
    "clear-bit",
    verbs="clear_bit clear_flag disable reset_flag unmark turn_off ack",
    cores="""
    clear bit {n} of {a} and return it
    return {a} with bit {n} cleared
    turn bit {n} of {a} off
    make bit {n} in {a} a zero, all other bits as they are
    force bit {n} of {a} to 0
    give back {a} with bit number {n} switched off
    reset bit {n} in {a}, leaving the others alone
    return {a} after clearing its bit {n}
    clear bit {n} in {a} without touching the rest
    disable bit {n} of {a}
    write a 0 to bit {n} of {a} and keep the others
    switch off bit {n} of {a}
    """,
)
def _clear_bit(chance: random.Random) -> Case:
    t, x, n = _register(chance)
    m = _neighbour(n)
    return case(
        t, [(t, x)], f"{x} & ~(1u << {n})", lambda v: v & ~(1 << n),
        reference=f"{x} - ({x} & (1u << {n}))",
        wrong=[
            (f"{x} & ~(1u << {m})", lambda v: v & ~(1 << m)), (f"{x} & (1u << {n})", lambda v: v & 1 << n),
            (f"{x} & ~{n}u", lambda v: v & ~n), (f"{x} | (1u << {n})", lambda v: v | 1 << n),
        ],
        n=n,
    )  # fmt: skip


@SKILLS.family(
    "toggle-bit",
    verbs="toggle_bit toggle flip flip_bit invert_bit blink",
    cores="""
    toggle bit {n} of {a} and return it
    return {a} with bit {n} toggled
    flip bit {n} of {a}
    invert bit {n} in {a}, all other bits as they are
    change bit {n} of {a} to its opposite
    give back {a} with bit number {n} flipped
    complement bit {n} in {a}, leaving the others alone
    return {a} after inverting its bit {n}
    flip bit {n} in {a} without touching the rest
    negate bit {n} of {a}
    swap bit {n} of {a} between 0 and 1
    turn bit {n} of {a} around: on becomes off, off becomes on
    """,
)
def _toggle_bit(chance: random.Random) -> Case:
    t, x, n = _register(chance)
    m = _neighbour(n)
    return case(
        t, [(t, x)], f"{x} ^ (1u << {n})", lambda v: v ^ 1 << n,
        reference=f"({x} & (1u << {n})) ? {x} - (1u << {n}) : {x} + (1u << {n})",
        wrong=[
            (f"{x} ^ (1u << {m})", lambda v: v ^ 1 << m), (f"{x} | (1u << {n})", lambda v: v | 1 << n),
            (f"{x} ^ {n}u", lambda v: v ^ n), (f"~{x}", lambda v: ~v),
        ],
        n=n,
    )  # fmt: skip


@SKILLS.family(
    "test-bit",
    verbs="is_set bit_set has_flag ready pending busy is_on",
    cores="""
    tell whether bit {n} of {a} is set
    return true if bit {n} of {a} is set
    check bit {n} of {a}
    report if bit {n} in {a} is one
    return true when bit {n} of {a} is 1, else false
    test bit number {n} of {a}
    say if bit {n} of {a} is on
    find out whether {a} has bit {n} set
    return the state of bit {n} in {a}
    be true exactly when bit {n} of {a} is high
    read bit {n} of {a} as a boolean
    answer if bit {n} is set in {a}
    """,
)
def _test_bit(chance: random.Random) -> Case:
    t, x, n = _register(chance)
    m = _neighbour(n)
    return case(
        "bool", [(t, x)], f"({x} & (1u << {n})) != 0", lambda v: v >> n & 1,
        reference=f"({x} >> {n}) & 1u",
        wrong=[
            (f"({x} & (1u << {m})) != 0", lambda v: v >> m & 1), (f"({x} & (1u << {n})) == 0", lambda v: ~v >> n & 1),
            (f"({x} & {n}u) != 0", lambda v: v & n), (f"({x} >> {n}) != 0", lambda v: v >> n),
        ],
        n=n,
    )  # fmt: skip


def _field(chance: random.Random) -> tuple[str, str, int, int, int]:
    kind = chance.choice(UNSIGNED)
    bits = BITS[kind]
    width = chance.randint(2, min(bits - 1, 8))
    return kind, chance.choice(REGISTERS), chance.randint(1, bits - width), width, (1 << width) - 1


@SKILLS.family(
    "extract-field",
    verbs="get_field field read_field extract mode_of unpack_field",
    cores="""
    extract the {w}-bit field at bit {n} of {a}
    return the {w}-bit field of {a} that starts at bit {n}
    read {w} bits of {a} from bit {n} up
    get the {w} bits starting at bit {n} of {a}
    give the field of {w} bits whose lowest bit is bit {n} of {a}
    take {w} bits from {a}, beginning with bit {n}, as a number
    pull a {w}-bit value out of {a} at offset {n}
    return {w} bits of {a} at bit position {n}, shifted down
    decode the {w}-bit field with its LSB at bit {n} of {a}
    isolate {w} bits at offset {n} in {a} and shift them to the bottom
    fetch from {a} the field at bit {n}, {w} bits wide
    shift {a} right by {n} and keep the low {w} bits
    """,
)
def _extract_field(chance: random.Random) -> Case:
    t, x, n, w, mask = _field(chance)
    return case(
        t, [(t, x)], f"({x} >> {n}) & 0x{mask:X}u", lambda v: v >> n & mask,
        reference=f"({x} / (1u << {n})) % (1u << {w})",
        wrong=[
            (f"({x} >> {n}) & 0x{mask * 2 + 1:X}u", lambda v: v >> n & mask * 2 + 1),
            (f"({x} >> {n - 1}) & 0x{mask:X}u", lambda v: v >> n - 1 & mask),
            (f"{x} & (0x{mask:X}u << {n})", lambda v: v & mask << n), (f"({x} >> {n}) & {w}u", lambda v: v >> n & w),
        ],
        n=n, w=w,
    )  # fmt: skip


@SKILLS.family(
    "insert-field",
    verbs="set_field put_field write_field insert with_mode pack_field",
    cores="""
    put {b} into the {w}-bit field at bit {n} of {a}
    return {a} with its {w}-bit field at bit {n} set to {b}
    write {b} into {w} bits of {a} from bit {n} up
    replace the {w} bits starting at bit {n} of {a} by {b}
    insert {b} as a {w}-bit field at bit {n} of {a}
    store the low {w} bits of {b} in {a} at bit {n}
    place {b} in {a} at offset {n}, {w} bits wide
    set the {w}-bit field with its LSB at bit {n} of {a} to {b}
    overwrite {w} bits of {a} at bit position {n} with {b}
    update {a}: the field of {w} bits at bit {n} becomes {b}
    change only the {w}-bit field at offset {n} of {a}, to {b}
    return {a} with {b} in the field at bit {n}, {w} bits wide
    """,
)
def _insert_field(chance: random.Random) -> Case:
    t, x, n, w, mask = _field(chance)
    f = chance.choice(FIELDS)
    m = f"0x{mask:X}u"
    return case(
        t, [(t, x), (t, f)], f"({x} & ~({m} << {n})) | (({f} & {m}) << {n})",
        lambda v, p: v & ~(mask << n) | (p & mask) << n,
        reference=f"uint32_t old = {x};\nuint32_t part = (old >> {n}) % (1u << {w});\n"
        f"return old - (part << {n}) + (({f} % (1u << {w})) << {n});",
        wrong=[
            (f"{x} | (({f} & {m}) << {n})", lambda v, p: v | (p & mask) << n),
            (f"({x} & ~({m} << {n})) | ((uint32_t){f} << {n})", lambda v, p: v & ~(mask << n) | p << n),
            (f"({x} & ~{m}) | (({f} & {m}) << {n})", lambda v, p: v & ~mask | (p & mask) << n),
            (f"({x} & ({m} << {n})) | (({f} & {m}) << {n})", lambda v, p: v & mask << n | (p & mask) << n),
        ],
        n=n, w=w,
    )  # fmt: skip


@SKILLS.family(
    "mask-all",
    verbs="all_set all_ready has_all complete mask_ok",
    cores="""
    tell whether all bits of mask 0x{m} are set in {a}
    return true if {a} has every bit of 0x{m} set
    check that all bits of 0x{m} are one in {a}
    return true when no bit of 0x{m} is missing in {a}
    report whether {a} contains all the bits in 0x{m}
    test {a} against mask 0x{m}: all of them must be set
    be true only if each bit of 0x{m} is on in {a}
    say if every flag in 0x{m} is set in {a}
    return true if {a} masked with 0x{m} gives 0x{m}
    see whether the bits 0x{m} are all high in {a}
    find out if {a} includes every flag of the mask 0x{m}
    answer whether all flags 0x{m} are on in {a}
    """,
)
def _mask_all(chance: random.Random) -> Case:
    t, x, mask = _mask(chance)
    m = f"0x{mask:X}u"
    return case(
        "bool", [(t, x)], f"({x} & {m}) == {m}", lambda v: int(v & mask == mask),
        reference=f"(~(uint32_t){x} & {m}) == 0",
        wrong=[
            (f"({x} & {m}) != 0", lambda v: v & mask), (f"({x} | {m}) == {m}", lambda v: int(v | mask == mask)),
            (f"{x} == {m}", lambda v: int(v == mask)), (f"({x} & {m}) == 0", lambda v: int(v & mask == 0)),
        ],
        m=f"{mask:X}",
    )  # fmt: skip


@SKILLS.family(
    "mask-any",
    verbs="any_set any_error has_any fault pending_any",
    cores="""
    tell whether any bit of mask 0x{m} is set in {a}
    return true if {a} has at least one bit of 0x{m} set
    check if some bit of 0x{m} is one in {a}
    return true when one or more bits of 0x{m} are on in {a}
    report whether {a} contains any of the bits in 0x{m}
    test {a} against mask 0x{m}: one set bit is enough
    be true if at least one of the bits 0x{m} is high in {a}
    say if any flag in 0x{m} is set in {a}
    return true if {a} masked with 0x{m} is not zero
    see whether one of the bits 0x{m} is up in {a}
    find out if {a} includes any flag of the mask 0x{m}
    answer whether any of the flags 0x{m} is on in {a}
    """,
)
def _mask_any(chance: random.Random) -> Case:
    t, x, mask = _mask(chance)
    m = f"0x{mask:X}u"
    return case(
        "bool", [(t, x)], f"({x} & {m}) != 0", lambda v: v & mask,
        reference=f"(~(uint32_t){x} & {m}) != {m}",
        wrong=[
            (f"({x} & {m}) == {m}", lambda v: int(v & mask == mask)), (f"({x} | {m}) != 0", lambda v: v | mask),
            (f"{x} == {m}", lambda v: int(v == mask)), (f"({x} & {m}) == 0", lambda v: int(v & mask == 0)),
        ],
        m=f"{mask:X}",
    )  # fmt: skip


def _mask(chance: random.Random) -> tuple[str, str, int]:
    kind = chance.choice(("uint8_t", "uint16_t"))
    one, other = chance.sample(range(BITS[kind]), 2)
    third = chance.randrange(BITS[kind])
    return kind, chance.choice(REGISTERS[:-2]), 1 << one | 1 << other | 1 << third
