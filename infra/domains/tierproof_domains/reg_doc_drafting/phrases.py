"""How people write it down: openings and main clauses of each family. A quarter of each bank is unseen in training.

Slots: {id} the id to use; {d} the device, {ad} with its article; {do} "stop the motor"; {does} "stops the motor"; {doing} "stopping the
motor"; {by} the bound ("within 2 sec"); {when} the condition ("if an occlusion is detected"); {trigger} what a tester does.
"""

from tierproof_domains.splitting import Bank

MAIN = Bank(
    (
        "the {d} must {do} {by} {when}",
        "{when}, the {d} has to {do} {by}",
        "we want the {d} to {do} {when}, {by}",
        "the {d} {does} {by} {when}",
        "{d}: {does} {when} ({by})",
        "the {d} is supposed to {do} {by} {when}",
        "{when} the {d} needs to {do}, {by}",
        "expected of the {d}: {doing} {when}, {by}",
        "the customer wants {ad} that {does} {by} {when}",
        "{d} - {doing} {by}, {when}",
        "make the {d} {do} {when}; {by}",
        "it matters that the {d} {does} {when}, {by}",
        "{when}, {ad} {does} {by}",
        "the team agreed that the {d} will {do} {by} {when}",
        "{when} and {by}, the {d} should {do}",
        "for the {d}: {do} {when}. Limit: {by}",
        "please have the {d} {do} {by}, {when}",
        "field note: the {d} ought to {do} {when}, {by}",
        "nurses expect the {d} to {do} {by} {when}",
        "what we need is {ad} {doing} {when}, {by}",
        "{by}, the {d} has to {do} {when}",
        "from the review: {d} must be {doing} {by} {when}",
        "the {d} shall be able to {do} {when}, {by}",
        "in short, the {d} {does} {when}, {by}",
    )
)
OPENING = {
    "requirement": Bank(
        (
            "Write requirement {id} as JSON: ",
            "{id}, requirement: ",
            "Requirement {id}. ",
            "Draft {id} as a requirement (JSON). Fact: ",
            "Turn this into requirement {id}: ",
            "New requirement, id {id}: ",
            "Please write requirement {id} for this: ",
            "As requirement {id} in JSON: ",
            "Requirement wanted ({id}): ",
            "Formulate requirement {id}. ",
            "Ticket for requirement {id}: ",
            "Can you phrase this as requirement {id}? ",
            "Note for requirement {id}: ",
            "JSON requirement, {id}: ",
            "State requirement {id}: ",
            "Make a requirement, {id}, of this: ",
        )
    ),
    "risk-control": Bank(
        (
            "Write risk line {id} as JSON. Hazard: {hazard}; ",
            "{id}, hazard {hazard}: ",
            "Risk control {id} against {hazard}: ",
            "Hazard line {id} for {hazard}. Control: ",
            "Draft hazard {id} ({hazard}): ",
            "Risk table, row {id}, {hazard}. ",
            "New hazard {id}: {hazard}. Control: ",
            "Please fill hazard line {id}. Hazard is {hazard}; ",
            "Risk {id} - {hazard}: ",
            "For hazard {id} ({hazard}), control in JSON: ",
            "Hazard {id} is {hazard}. ",
            "Record risk {id}, {hazard}: ",
            "{hazard} is hazard {id}; ",
            "To control {hazard} (risk {id}): ",
            "Risk file {id}: {hazard}; ",
            "Against {hazard}, hazard {id}: ",
        )
    ),
    "test-case": Bank(
        (
            "Write test case {id} for {req} as JSON: ",
            "{id} tests {req}: ",
            "Test case {id} ({req}). ",
            "New test {id} on {req}: ",
            "Draft test {id}, which verifies {req}: ",
            "Test {id} covers {req}. ",
            "Please write test case {id} for {req}: ",
            "{req} is checked by test {id}: ",
            "Test step {id} for requirement {req}: ",
            "As test case {id} of {req}: ",
            "For {req} make test {id}: ",
            "Test plan, {id}, requirement {req}: ",
            "Test {id}. It proves {req}: ",
            "To verify {req}, test {id}: ",
            "Tester's note for {id} on {req}: ",
            "Test wanted for {req}, id {id}: ",
        )
    ),
}
TRIGGER_EVENT = Bank(
    (
        "simulate {thing}",
        "cause {thing}",
        "with {thing}",
        "force {thing}",
        "make {thing} happen",
        "produce {thing}",
        "create {thing}",
        "on {thing}",
        "given {thing}",
        "we simulate {thing}",
        "provoke {thing}",
        "try it with {thing}",
    )
)
TRIGGER_RISE = Bank(
    (
        "{noun} over {v}",
        "raise the {noun} above {v}",
        "bring the {noun} above {v}",
        "with the {noun} above {v}",
        "push the {noun} over {v}",
        "{noun} higher than {v}",
        "increase the {noun} to more than {v}",
        "take the {noun} beyond {v}",
    )
)
TRIGGER_FALL = Bank(
    (
        "{noun} under {v}",
        "lower the {noun} below {v}",
        "bring the {noun} below {v}",
        "with the {noun} below {v}",
        "let the {noun} drop under {v}",
        "{noun} lower than {v}",
        "reduce the {noun} to less than {v}",
        "take the {noun} down under {v}",
    )
)
OUTCOME = Bank(
    (
        "{trigger}; the {d} must {do} {by}",
        "{trigger}, then the {d} should {do} {by}",
        "{trigger}. Pass if the {d} {does} {by}",
        "{trigger}, see whether the {d} {does}, {by}",
        "{trigger}: we expect the {d} to {do} {by}",
        "the {d} has to {do} {by} ({trigger})",
        "{trigger} and watch the {d} {do}, {by}",
        "check that the {d} {does} {by}: {trigger}",
        "{trigger} -> {d} {does} {by}",
        "{trigger}; good when the {d} {does} {by}",
        "the {d} ought to {do}, {by}; {trigger}",
        "{trigger}. Result: {d} {doing} {by}",
        "{trigger}. Then {by}, the {d} will {do}",
        "does the {d} {do} {by}? Trigger: {trigger}",
        "{trigger}; {by} the {d} {does}",
        "we look for the {d} {doing} {by}; {trigger}",
    )
)
TRACE = Bank(
    (
        "Trace line for {id}: from {up}, tested by {down}",
        "{id} satisfies {up} and is verified by {down}",
        "Trace {id}: {up} -> {down}",
        "Traceability of {id}. Sources: {up}. Tests: {down}",
        "{id} comes from {up}; {down} cover it",
        "Trace JSON for {id}, parents {up}, tests {down}",
        "Write the trace of {id}: it implements {up}, {down} prove it",
        "Trace {id}. Up: {up}. Down: {down}",
        "Link {id} to {up} and to tests {down}",
        "{down} verify {id}, which stems from {up}. Trace line please",
        "Trace matrix row {id}: needs {up}; checked by {down}",
        "Because of {up} we have {id}, tested in {down}. Trace it",
        "Row for {id}: derived from {up}, test evidence {down}",
        "Add a trace: {id}, origin {up}, verification {down}",
        "{up} led to {id}; see {down} for the tests. Make the trace line",
        "Tests for {id} are {down}; it answers {up}. Trace?",
    )
)
DROPPED = Bank(
    (
        "{x} was dropped.",
        "Not {x}.",
        "Leave out {x}.",
        "{x} no longer counts.",
        "Without {x}.",
        "{x} is withdrawn.",
        "Ignore {x}.",
        "{x} does not apply.",
    )
)
