"""What is written about: devices, what they do, and what makes them do it. Values and units are drawn beside them."""

from dataclasses import dataclass
from typing import Literal

Method = Literal["test", "inspection", "analysis", "demonstration"]
Bound = Literal["within", "at most", "at least", "every"]
METHODS: tuple[Method, ...] = ("test", "inspection", "analysis", "demonstration")

DEVICES: dict[str, tuple[str, ...]] = {
    "pump": (
        "infusion pump", "syringe pump", "insulin pump", "feeding pump", "PCA pump", "contrast injector", "epidural pump",
        "ambulatory pump",
    ),
    "breathing": (
        "ventilator", "anesthesia machine", "CPAP device", "oxygen concentrator", "transport ventilator", "neonatal ventilator",
        "humidifier", "cough assist device",
    ),
    "monitor": (
        "ECG monitor", "patient monitor", "pulse oximeter", "blood pressure monitor", "fetal monitor", "EEG recorder",
        "Holter recorder", "capnograph", "telemetry unit", "bedside monitor",
    ),
    "blood": (
        "dialysis machine", "heart-lung machine", "ECMO console", "apheresis machine", "blood warmer", "hemofiltration unit",
        "cell saver", "perfusion pump",
    ),
    "imaging": (
        "imaging console", "CT scanner", "MRI console", "X-ray generator", "mammography unit", "mobile C-arm",
        "ultrasound scanner", "PET scanner", "fluoroscopy table", "dental X-ray unit",
    ),
    "energy": (
        "electrosurgical unit", "surgical laser", "surgical robot", "defibrillator", "infant incubator", "radiotherapy linac",
        "patient warmer", "lithotripter", "ablation generator", "nerve stimulator",
    ),
}  # fmt: skip
CLASSES = tuple(DEVICES)


@dataclass(frozen=True, slots=True)
class Deed:
    """What a device does: a verb with its object, and the noun by which an answer is known to speak of it."""

    verb: str
    rest: str
    noun: str


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happens: as a clause, as a noun phrase, and the word by which it is known."""

    clause: str
    thing: str
    noun: str


@dataclass(frozen=True, slots=True)
class Threshold:
    """A quantity that leaves its range."""

    noun: str
    rises: bool
    unit: str
    lowest: int
    highest: int
    step: int = 1


@dataclass(frozen=True, slots=True)
class Duty:
    """What holds without an event: deed, bound, unit and values, the circumstance, and the method that proves it."""

    deed: Deed
    bound: Bound
    unit: str
    lowest: int
    highest: int
    step: int
    circumstances: tuple[str, ...]
    method: Method


REACTIONS: dict[str, tuple[Deed, ...]] = {
    "any": (
        Deed("sound", "an audible alarm", "alarm"),
        Deed("show", "a warning message", "warning"),
        Deed("write", "an entry to the event log", "log"),
        Deed("enter", "the safe state", "safe state"),
        Deed("notify", "the central station", "central station"),
        Deed("save", "the current settings", "settings"),
        Deed("flash", "the red indicator", "indicator"),
        Deed("restart", "the main controller", "controller"),
        Deed("lock", "the touch screen", "touch screen"),
        Deed("start", "the self-test", "self-test"),
        Deed("reject", "new commands", "commands"),
        Deed("send", "a status message", "status message"),
    ),
    "pump": (
        Deed("stop", "the motor", "motor"),
        Deed("close", "the flow valve", "valve"),
        Deed("block", "further boluses", "boluses"),
        Deed("release", "the line pressure", "line pressure"),
    ),
    "breathing": (
        Deed("open", "the safety valve", "valve"),
        Deed("start", "backup ventilation", "ventilation"),
        Deed("release", "the airway pressure", "airway pressure"),
        Deed("switch", "to room air", "room air"),
    ),
    "monitor": (
        Deed("mark", "the reading as invalid", "reading"),
        Deed("print", "the current trace", "trace"),
        Deed("release", "the cuff pressure", "cuff pressure"),
        Deed("store", "a waveform snapshot", "waveform"),
    ),
    "blood": (
        Deed("clamp", "the venous line", "venous line"),
        Deed("stop", "the blood pump", "blood pump"),
        Deed("bypass", "the filter", "filter"),
        Deed("disable", "the heater", "heater"),
    ),
    "imaging": (
        Deed("switch off", "the beam", "beam"),
        Deed("stop", "the table movement", "table"),
        Deed("abort", "the scan", "scan"),
        Deed("discard", "the damaged image", "image"),
    ),
    "energy": (
        Deed("switch off", "the output power", "output power"),
        Deed("retract", "the applicator", "applicator"),
        Deed("disable", "the foot switch", "foot switch"),
        Deed("discharge", "the capacitor", "capacitor"),
    ),
}

EVENTS: dict[str, tuple[Event, ...]] = {
    "any": (
        Event("mains power is lost", "a loss of mains power", "mains power"),
        Event("the watchdog expires", "a watchdog expiry", "watchdog"),
        Event("a memory error is detected", "a memory error", "memory error"),
        Event("the self-test fails", "a self-test failure", "self-test"),
        Event("a sensor is disconnected", "a disconnected sensor", "sensor"),
        Event("the network link is lost", "a loss of the network link", "network link"),
        Event("the stop key is pressed", "a press of the stop key", "stop key"),
        Event("a checksum error is found", "a checksum error", "checksum error"),
        Event("a fan fails", "a fan failure", "fan"),
        Event("an unknown user logs in", "a login of an unknown user", "unknown user"),
    ),
    "pump": (
        Event("an occlusion is detected", "an occlusion", "occlusion"),
        Event("the door is opened", "an open door", "door"),
        Event("air is found in the line", "air in the line", "air"),
        Event("the syringe is removed", "a removed syringe", "syringe"),
    ),
    "breathing": (
        Event("the circuit is disconnected", "a disconnected circuit", "circuit"),
        Event("the oxygen supply fails", "a failure of the oxygen supply", "oxygen supply"),
        Event("the patient stops breathing", "an apnea of the patient", "patient"),
        Event("a tube is blocked", "a blocked tube", "tube"),
    ),
    "monitor": (
        Event("an electrode comes off", "a loose electrode", "electrode"),
        Event("asystole is detected", "asystole", "asystole"),
        Event("the signal is lost", "a loss of the signal", "signal"),
        Event("a pacer pulse is detected", "a pacer pulse", "pacer pulse"),
    ),
    "blood": (
        Event("a blood leak is detected", "a blood leak", "blood leak"),
        Event("air enters the blood line", "air in the blood line", "air"),
        Event("a needle is dislodged", "a dislodged needle", "needle"),
        Event("a clot is detected", "a clot", "clot"),
    ),
    "imaging": (
        Event("the room door is opened", "an open room door", "room door"),
        Event("a collision is detected", "a collision", "collision"),
        Event("the hand switch is released", "a release of the hand switch", "hand switch"),
        Event("an image transfer fails", "a failure of an image transfer", "image transfer"),
    ),
    "energy": (
        Event("the return electrode is loose", "a loose return electrode", "return electrode"),
        Event("the foot pedal is released", "a release of the foot pedal", "foot pedal"),
        Event("a short circuit is detected", "a short circuit", "short circuit"),
        Event("the cover is opened", "an open cover", "cover"),
    ),
}

THRESHOLDS: dict[str, tuple[Threshold, ...]] = {
    "any": (
        Threshold("battery charge", False, "%", 5, 40),
        Threshold("internal temperature", True, "°C", 45, 90),
        Threshold("supply voltage", False, "V", 8, 22),
        Threshold("free storage", False, "%", 2, 20),
        Threshold("leakage current", True, "mA", 2, 50),
    ),
    "pump": (
        Threshold("line pressure", True, "kPa", 30, 130, 5),
        Threshold("flow rate", True, "mL/h", 50, 990, 10),
        Threshold("reservoir volume", False, "mL", 2, 30),
    ),
    "breathing": (
        Threshold("airway pressure", True, "cmH2O", 20, 80),
        Threshold("tidal volume", False, "mL", 50, 500, 10),
        Threshold("oxygen concentration", False, "%", 18, 90),
    ),
    "monitor": (
        Threshold("heart rate", True, "bpm", 100, 200, 5),
        Threshold("oxygen saturation", False, "%", 75, 94),
        Threshold("cuff pressure", True, "mmHg", 150, 320, 5),
    ),
    "blood": (
        Threshold("venous pressure", True, "mmHg", 100, 400, 10),
        Threshold("blood flow", False, "mL/min", 50, 500, 10),
        Threshold("fluid temperature", True, "°C", 38, 44),
    ),
    "imaging": (
        Threshold("entrance dose", True, "mGy", 5, 200, 5),
        Threshold("tube temperature", True, "°C", 60, 200, 5),
        Threshold("table load", True, "kg", 120, 300, 10),
    ),
    "energy": (
        Threshold("output power", True, "W", 20, 400, 10),
        Threshold("contact force", True, "N", 2, 60),
        Threshold("skin temperature", True, "°C", 37, 44),
    ),
}

_STORED = ("without power", "in storage")
_RUNNING = ("during operation", "during standby", "during treatment", "in service mode")
_LABELS = ("rated voltage", "serial number", "maximum load", "expiry date", "product name", "warning symbol")
_PLACES = ("on the rear panel", "on the front panel", "on the side cover", "on the battery door", "on the power cord")
_WISHES = (
    ("silence an alarm", "alarm"), ("change an alarm limit", "alarm limit"), ("export the event log", "event log"),
    ("print a report", "report"), ("mute the speaker", "speaker"), ("enter a patient name", "patient name"),
    ("start a calibration", "calibration"), ("change the language", "language"), ("set the clock", "clock"),
)  # fmt: skip
_WAYS = ("from the main screen", "with gloves", "without a manual", "after login", "from the alarm screen")

DUTIES: tuple[Duty, ...] = (
    Duty(Deed("run", "a memory test", "memory test"), "every", "h", 2, 48, 1, _RUNNING, "test"),
    Duty(Deed("send", "a heartbeat message", "heartbeat"), "every", "s", 2, 60, 1, _RUNNING, "test"),
    Duty(Deed("save", "a trend record", "trend record"), "every", "min", 2, 60, 1, _RUNNING, "test"),
    Duty(Deed("check", "the clock", "clock"), "every", "min", 2, 90, 1, _RUNNING, "test"),
    Duty(Deed("update", "the display", "display"), "every", "ms", 50, 990, 10, _RUNNING, "test"),
    Duty(Deed("limit", "the noise level", "noise level"), "at most", "dB", 35, 75, 1, _RUNNING, "test"),
    Duty(Deed("limit", "the case temperature", "case temperature"), "at most", "°C", 37, 48, 1, _RUNNING, "test"),
    Duty(Deed("limit", "the power draw", "power draw"), "at most", "W", 20, 900, 10, _RUNNING, "test"),
    *(
        Duty(Deed("show", f"the {label}", label), "at least", "mm", 2, 40, 1, _PLACES, "inspection")
        for label in _LABELS
    ),
    Duty(Deed("have", "a power cord", "power cord"), "at least", "cm", 60, 500, 10, ("in the package", "at the rear panel"), "inspection"),
    *(
        Duty(Deed("let the user", wish, noun), "at most", "steps", 2, 9, 1, _WAYS, "demonstration")
        for wish, noun in _WISHES
    ),
    Duty(Deed("compute", "the mean pressure", "mean pressure"), "at most", "%", 2, 15, 1, _RUNNING, "analysis"),
    Duty(Deed("compute", "the total dose", "total dose"), "at most", "%", 2, 15, 1, _RUNNING, "analysis"),
    Duty(Deed("estimate", "the remaining time", "remaining time"), "at most", "min", 2, 30, 1, _RUNNING, "analysis"),
    Duty(Deed("keep", "its calibration", "calibration"), "at least", "months", 3, 60, 1, _RUNNING, "analysis"),
    Duty(Deed("keep", "the event log", "event log"), "at least", "days", 7, 400, 1, _STORED, "analysis"),
    Duty(Deed("keep", "the patient records", "patient records"), "at least", "days", 30, 900, 10, _STORED, "analysis"),
)  # fmt: skip

# How a bound is written in an answer of a duty; `{}` is the value with its unit.
BOUND_OF_DUTY: dict[tuple[str, str], str] = {
    ("limit", "at most"): "to at most {}",
    ("show", "at least"): "in letters of at least {}",
    ("have", "at least"): "of at least {}",
    ("let the user", "at most"): "in at most {}",
    ("compute", "at most"): "with an error of at most {}",
    ("estimate", "at most"): "with an error of at most {}",
    ("keep", "at least"): "for at least {}",
}

HAZARDS: dict[str, tuple[str, ...]] = {
    "any": ("electric shock", "loss of monitoring", "delayed alarm", "wrong settings", "loss of therapy", "burn"),
    "pump": ("overdose", "underdose", "air embolism", "free flow"),
    "breathing": ("lung injury", "hypoxia", "rebreathing", "airway dryness"),
    "monitor": ("missed arrhythmia", "wrong reading", "nerve compression", "false alarm"),
    "blood": ("blood loss", "hemolysis", "air embolism", "hypothermia"),
    "imaging": ("excess radiation", "crushed hand", "repeated exposure", "wrong image"),
    "energy": ("tissue damage", "skin burn", "unintended shock", "overheating"),
}

# A unit's symbol, as answers write it, and how people write it.
UNITS: dict[str, tuple[str, ...]] = {
    "s": ("s", "sec", "seconds"), "ms": ("ms", "msec", "milliseconds"), "min": ("min", "minutes"), "h": ("h", "hours"),
    "days": ("days",), "months": ("months",), "%": ("%", "percent"), "°C": ("°C", "degrees Celsius", "deg C"),
    "V": ("V", "volts"), "mA": ("mA", "milliamps"), "kPa": ("kPa", "kilopascals"), "mL/h": ("mL/h", "ml per hour", "ml/h"),
    "mL": ("mL", "ml", "milliliters"), "cmH2O": ("cmH2O", "cm H2O"), "bpm": ("bpm", "beats per minute"),
    "mmHg": ("mmHg", "mm Hg"), "mL/min": ("mL/min", "ml per minute", "ml/min"), "mGy": ("mGy", "milligray"),
    "kg": ("kg", "kilograms"), "W": ("W", "watts"), "N": ("N", "newtons"), "dB": ("dB", "decibels"), "mm": ("mm", "millimeters"),
    "cm": ("cm", "centimeters"), "steps": ("steps",),
}  # fmt: skip

VAGUE = ("appropriate", "fast", "quickly", "user-friendly", "adequate", "sufficient", "promptly", "reasonable", "easy")
