"""Names and frames that all families of C tasks share."""

import random

from tierproof_domains.splitting import Bank

DEVICES = (
    "uart", "spi", "i2c", "adc", "dac", "pwm", "can", "dma", "gpio", "tim", "wdt", "rtc", "pump", "valve", "motor",
    "ecg", "spo2", "infu", "batt", "temp", "press", "flow", "led", "key", "lcd", "relay", "fan", "heater", "probe",
    "sensor", "servo", "lamp", "buzz", "eeprom", "flash", "usb", "eth", "pll", "clk", "irq", "nvic", "bus", "link",
    "port", "axis", "gyro", "accel", "mag", "resp", "nibp", "cuff", "drip", "syr", "door", "lid", "dose", "tank",
    "leak", "laser", "coil", "boost", "charger", "fuse", "mux",
)  # fmt: skip
NEUTRAL = ("calc", "step", "update", "get", "eval", "conv", "process", "apply", "compute", "handle")
REGISTERS = ("reg", "ctrl", "status", "flags", "cfg", "sr", "cr", "word", "value", "state", "port", "mask", "bits")
VALUES = ("x", "value", "raw", "sample", "level", "input", "val", "v", "reading", "code", "meas", "in")
FIELDS = ("field", "val", "mode", "sel", "v", "div", "gain", "rate", "chan", "n")
PAIRS = (
    ("a", "b"), ("x", "y"), ("lhs", "rhs"), ("first", "second"), ("left", "right"), ("p", "q"), ("u", "v"), ("s0", "s1"),
    ("ch0", "ch1"), ("in1", "in2"),
)  # fmt: skip
TRIPLES = (
    ("a", "b", "c"),
    ("x", "y", "z"),
    ("s0", "s1", "s2"),
    ("ch0", "ch1", "ch2"),
    ("p", "q", "r"),
    ("v1", "v2", "v3"),
)

FRAMES = Bank(
    (
        "`{proto}`: {core}.",
        "{proto}: {core}.",
        "Write `{proto}` to {core}.",
        "Write {proto} to {core}.",
        "Implement `{proto}`. It shall {core}.",
        "Implement {proto} to {core}.",
        "Please implement `{proto}`; it should {core}.",
        "Please write {proto}, which must {core}.",
        "I need `{proto}` to {core}.",
        "We need {proto} to {core}.",
        "`{proto}` shall {core}.",
        "{proto} must {core}.",
        "The function `{proto}` has to {core}.",
        "Code `{proto}`, please: {core}.",
        "C function `{proto}`: {core}.",
        "Firmware task: `{proto}` shall {core}.",
        "Ticket: {proto} should {core}.",
        "TODO `{proto}`: {core}.",
        "Spec: `{proto}` shall {core}.",
        "Can you write `{proto}`? It should {core}.",
        "How would you write `{proto}` to {core}?",
        "Could you give me {proto} to {core}?",
        "Give me `{proto}`. Task: {core}.",
        "Driver code for `{proto}`: {core}.",
        "Fill in `{proto}` so that it will {core}.",
        "Complete {proto}; purpose: {core}.",
        "Requirement: `{proto}` shall {core}.",
        "Body wanted for `{proto}`: {core}.",
    )
)


def name_of(chance: random.Random, verbs: tuple[str, ...]) -> str:
    """Return a function's name: mostly it tells what the function does, sometimes it does not."""
    verb = chance.choice(verbs if chance.random() < 0.75 else NEUTRAL)  # noqa: PLR2004 - a quarter of names say little
    return f"{chance.choice(DEVICES)}_{verb}"
