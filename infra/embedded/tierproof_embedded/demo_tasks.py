"""The tasks of the guided run: real questions of three kinds and three classes. What comes of each is up to the model and the checks."""

import json
from dataclasses import dataclass, field
from typing import Any, Literal

SafetyClass = Literal["A", "B", "C"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoTask:
    """A task to submit: named inputs are texts, the time allowed is in seconds."""

    title: str
    kind: str
    safety_class: SafetyClass
    prompt: str
    inputs: dict[str, str] = field(default_factory=dict)
    time_allowed: float = 240.0


def _requirement(
    title: str, safety_class: SafetyClass, fact: str, *, number: int, rules: list[dict[str, Any]]
) -> DemoTask:
    known = [f"REQ-{number + offset}" for offset in (-1, 0, 1)]
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": {
            "id": {"enum": known},
            "text": {"type": "string", "minLength": 20, "maxLength": 160},
            "verification": {"enum": ["test", "inspection", "analysis"]},
        },
        "required": ["id", "text", "verification"],
        "additionalProperties": False,
    }
    return DemoTask(
        title=title,
        kind="reg-doc-drafting",
        safety_class=safety_class,
        prompt=f"Write requirement REQ-{number} as JSON with id, text and verification. Fact: {fact}",
        inputs={
            "schema": json.dumps(schema),
            "rules": json.dumps({"version": 1, "rules": rules}),
            "requirements": "\n".join(known),
            "pattern": "REQ-[0-9]+",
        },
    )


def _dicom(title: str, safety_class: SafetyClass, attribute: str, representations: list[str]) -> DemoTask:
    schema = {
        "type": "object",
        "properties": {"vr": {"enum": representations}},
        "required": ["vr"],
        "additionalProperties": False,
    }
    return DemoTask(
        title=title,
        kind="dicom-adjacent",
        safety_class=safety_class,
        prompt=f"DICOM: what is the value representation (VR) of the attribute {attribute}? Answer as JSON with the field vr.",
        inputs={"question": json.dumps({"attribute": attribute, "fields": ["vr"]}), "schema": json.dumps(schema)},
    )


def _function(
    title: str, safety_class: SafetyClass, prototype: str, wish: str, *, signature: dict[str, Any], reference: str
) -> DemoTask:
    return DemoTask(
        title=title,
        kind="embedded-fw-c",
        safety_class=safety_class,
        prompt=f"Write one C function and nothing else:\n{prototype}\n{wish}",
        inputs={"signature": json.dumps(signature), "reference": reference},
    )


def _byte_function(title: str, safety_class: SafetyClass, name: str, wish: str, body: str) -> DemoTask:
    prototype = f"uint8_t {name}(uint8_t x)"
    signature = {"name": name, "returns": "uint8_t", "parameters": [{"name": "x", "type": "uint8_t"}]}
    reference = f"#include <stdint.h>\n{prototype} {{ {body} }}\n"
    return _function(title, safety_class, prototype, wish, signature=signature, reference=reference)


SHALL = {"field": "text", "rule": "must_contain_word", "value": "shall"}
ONE_SHALL = {"field": "text", "rule": "exactly_one_shall", "value": True}
NO_TBD = {"field": "text", "rule": "no_tbd", "value": True}
SHORT = {"field": "text", "rule": "max_words", "value": 25}

TASKS: tuple[DemoTask, ...] = (
    _requirement("occlusion", "A", "the infusion pump stops the motor on occlusion.", number=102, rules=[NO_TBD]),
    _requirement(
        "alarm tone", "A", "the alarm sounds within two seconds of a fault.", number=111, rules=[NO_TBD, SHORT]
    ),
    _requirement("battery", "A", "the display shows a low battery symbol below 20 percent.", number=120, rules=[SHALL]),
    _requirement("door", "A", "the pump does not start while the door is open.", number=131, rules=[NO_TBD]),
    _requirement("dose limit", "B", "the software rejects a dose above the hard limit.", number=140, rules=[NO_TBD]),
    _requirement(
        "event log", "B", "the software records each dose change with its time.", number=151, rules=[SHALL, NO_TBD]
    ),
    _requirement(
        "watchdog", "B", "the watchdog resets the controller after 100 ms.", number=160, rules=[NO_TBD, SHORT]
    ),
    _requirement("self-test", "B", "the device runs a self-test at each start.", number=171, rules=[ONE_SHALL]),
    _requirement("drop sensor", "B", "the software shows the flow rate once a second.", number=175, rules=[SHALL]),
    _requirement("free flow", "C", "the pump closes the valve when power is lost.", number=180, rules=[NO_TBD]),
    _requirement(
        "air in line", "C", "the pump stops when the sensor finds air in the line.", number=191, rules=[NO_TBD]
    ),
    _requirement(
        "over-delivery", "C", "the software stops delivery at the end of the dose.", number=200, rules=[SHALL]
    ),
    _dicom("patient name", "A", "PatientName", ["PN", "DS"]),
    _dicom("modality", "A", "Modality", ["CS", "UI"]),
    _dicom("birth date", "A", "PatientBirthDate", ["DA", "TM", "PN"]),
    _dicom("study time", "A", "StudyTime", ["TM", "DS"]),
    _dicom("study uid", "B", "StudyInstanceUID", ["UI", "LO"]),
    _dicom("slice thickness", "B", "SliceThickness", ["DS", "US"]),
    _dicom("patient id", "C", "PatientID", ["LO", "DS"]),
    _byte_function("same byte", "A", "same", "It returns x.", "return x;"),
    _byte_function("low nibble", "A", "low_nibble", "It returns x & 0x0F.", "return x & 0x0FU;"),
    _byte_function("set bit 3", "B", "set_bit3", "It returns x with bit 3 set.", "return (uint8_t)(x | 8U);"),
    _byte_function("saturate", "C", "limit", "It returns x, or 100 when x is larger.", "return x > 100U ? 100U : x;"),
    DemoTask(
        title="kind without policy",
        kind="marketing-copy",
        safety_class="A",
        prompt="Write a slogan for an infusion pump.",
    ),
)
