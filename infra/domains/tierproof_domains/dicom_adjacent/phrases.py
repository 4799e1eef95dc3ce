"""How people ask about attributes: openings, questions and closings. A quarter of each bank is unseen in training.

Slots: {what} the fields asked for; {a} the attribute.
"""

from tierproof_domains.splitting import Bank

QUESTION = Bank(
    (
        "what is the {what} of {a}?",
        "{what} of {a}?",
        "give the {what} for {a}.",
        "tell me the {what} of {a}.",
        "which {what} does {a} have?",
        "{a}: {what}?",
        "look up the {what} of {a}.",
        "I need the {what} of {a}.",
        "for {a}, state the {what}.",
        "please name the {what} of {a}.",
        "the {what} of {a} is what?",
        "do you know the {what} of {a}?",
        "find the {what} for {a}.",
        "return the {what} of attribute {a}.",
        "{a} has which {what}?",
        "fill in the {what} of {a}.",
        "attribute {a}, {what} wanted.",
        "report the {what} of {a}.",
        "we lack the {what} of {a}.",
        "to parse {a} we need its {what}.",
        "our parser asks for the {what} of {a}.",
        "can you say the {what} of {a}?",
        "write down the {what} of {a}.",
        "check {a} and give its {what}.",
        "data element {a}. Wanted: {what}.",
        "show {what} for {a}.",
    )
)
OPENING = Bank(
    (
        "DICOM: ",
        "In DICOM, ",
        "DICOM PS3.6, ",
        "DICOM question: ",
        "About a DICOM attribute: ",
        "DICOM data dictionary: ",
        "For a DICOM header, ",
        "DICOM lookup. ",
        "Imaging ticket (DICOM): ",
        "DICOM attribute: ",
        "From the DICOM standard, ",
        "Hello, DICOM again: ",
    )
)
GIVEN = Bank(
    (
        "DICOM rows: {rows}. ",
        "Given {rows}: ",
        "Dictionary: {rows}. ",
        "From the table {rows}, ",
        "We have {rows}. ",
        "Use {rows}. ",
        "Excerpt of PS3.6: {rows}. ",
        "Attributes: {rows}. ",
        "Look at {rows}. ",
        "By this list ({rows}) ",
        "Known: {rows}. ",
        "Rows of the dictionary: {rows}. ",
    )
)
PROFILE = Bank(
    (
        "De-identification profile: {rules}. ",
        "Our DICOM profile says {rules}. ",
        "Site rules: {rules}. ",
        "To de-identify: {rules}. ",
        "Before export, {rules}. ",
        "Anonymizer setup: {rules}. ",
        "Privacy table: {rules}. ",
        "The clinic wants this: {rules}. ",
        "DICOM privacy: {rules}. ",
        "For research export {rules}. ",
        "Rules are: {rules}. ",
        "Scrub list: {rules}. ",
    )
)
CLOSING = Bank(
    (
        "",
        " Answer as JSON.",
        " JSON only.",
        " Reply in JSON.",
        " As a JSON object, please.",
        " Output: JSON.",
        " One JSON object.",
        " Give JSON.",
    )
)
ROW = Bank(
    (
        "{tag} {keyword} {vr} {vm}",
        "{keyword} is {tag}, VR {vr}, VM {vm}",
        "{keyword} at {tag}: {vr}/{vm}",
        "{tag}={keyword}, {vr}, {vm}",
        "{keyword}: {vr}, {vm}, at {tag}",
        "{keyword} {tag} VR={vr} VM={vm}",
        "{tag}: {keyword}, {vr} x {vm}",
        "{vr} {keyword} with {vm} at {tag}",
    )
)

FIELD = {
    "tag": ("tag", "tag", "tag number"),
    "keyword": ("keyword",),
    "vr": ("VR", "VR", "value representation"),
    "vm": ("VM", "VM", "value multiplicity"),
    "action": ("action", "action code", "de-identification action"),
}

# PS3.15, table E.1-1a: the code of an action and how people say it.
ACTION = {
    "X": ("remove {a}", "delete {a}", "drop {a}", "take out {a}", "{a} must go"),
    "K": ("keep {a}", "leave {a} as it is", "retain {a}", "do not touch {a}", "{a} stays"),
    "Z": ("empty {a}", "blank {a}", "zero length for {a}", "make {a} empty", "clear the value of {a}"),
    "D": ("put a dummy in {a}", "dummy value for {a}", "fake {a}", "{a} gets a dummy", "use a made-up {a}"),
    "C": ("clean {a}", "clean the text of {a}", "{a} is cleaned", "strip names from {a}", "scrub the wording of {a}"),
    "U": ("replace the UID {a}", "new UID for {a}", "remap {a}", "map {a} to a new UID", "{a} gets another UID"),
}
