"""How people write the parts of it: bounds, conditions, methods, severities, and what they wish besides.

Banks, of which a quarter is unseen in training; connectives and the like are vocabulary, all of it seen.
"""

from tierproof_domains.splitting import Bank

BOUND = {
    "within": Bank(
        (
            "within {v}",
            "in at most {v}",
            "no later than {v}",
            "{v} max",
            "max {v}",
            "{v} at the latest",
            "not later than {v}",
            "in no more than {v}",
            "after {v} at most",
            "with {v} as the limit",
            "inside {v}",
            "taking at most {v}",
        )
    ),
    "at most": Bank(
        (
            "at most {v}",
            "no more than {v}",
            "{v} max",
            "max {v}",
            "{v} or less",
            "not more than {v}",
            "up to {v}",
            "{v} at most",
        )
    ),
    "at least": Bank(
        (
            "at least {v}",
            "no less than {v}",
            "{v} min",
            "min {v}",
            "{v} or more",
            "not less than {v}",
            "a minimum of {v}",
            "{v} at least",
        )
    ),
    "every": Bank(
        (
            "every {v}",
            "once every {v}",
            "each {v}",
            "once per {v}",
            "at intervals of {v}",
            "with a period of {v}",
            "with {v} in between",
        )
    ),
}
# What the bound of a duty is about, said before or after it.
OF_DUTY = {
    "limit": ("{by}",),
    "show": ("letters {by}", "letter height {by}", "{by} tall"),
    "have": ("{by} long", "length {by}"),
    "let the user": ("{by}", "in {by}"),
    "compute": ("error {by}", "{by} error"),
    "estimate": ("error {by}", "{by} error"),
    "keep": ("for {by}", "{by}"),
}
CONNECTIVE = ("when", "if", "once", "as soon as", "after", "whenever")
RISES = ("exceeds", "is above", "rises above", "goes over", "is higher than", "is more than")
FALLS = ("falls below", "is below", "drops under", "goes below", "is lower than", "is less than")
METHOD = {
    "test": Bank(
        (
            "Verify by test.",
            "Proof: bench test.",
            "It will be tested.",
            "Method: test.",
            "Check it in a test.",
            "We measure this in a test run.",
        )
    ),
    "inspection": Bank(
        (
            "Verify by inspection.",
            "Proof: inspection.",
            "It will be inspected.",
            "Method: inspection.",
            "Check it by looking.",
            "A visual inspection will do.",
        )
    ),
    "analysis": Bank(
        (
            "Verify by analysis.",
            "Proof: calculation.",
            "It will be analyzed.",
            "Method: analysis.",
            "Check it by analysis.",
            "We show this by calculation.",
        )
    ),
    "demonstration": Bank(
        (
            "Verify by demonstration.",
            "Proof: demonstration.",
            "It will be demonstrated.",
            "Method: demonstration.",
            "Check it in a demo.",
            "We show this to a user in a demo.",
        )
    ),
}
SEVERITY = {
    "critical": Bank(
        (
            "could be fatal",
            "may kill the patient",
            "life-threatening",
            "death is possible",
            "can be deadly",
            "severity critical",
            "someone could die",
        )
    ),
    "serious": Bank(
        (
            "injury that needs treatment",
            "needs medical care",
            "patient gets hurt",
            "a real injury",
            "severity serious",
            "the patient must be treated",
            "injury likely",
        )
    ),
    "minor": Bank(
        (
            "only discomfort",
            "a nuisance at worst",
            "slight and passing",
            "no injury",
            "severity minor",
            "merely unpleasant",
            "no lasting effect",
        )
    ),
}
ASIDE = Bank(
    (
        "It must be fast.",
        "An adequate solution, please.",
        "Should feel user-friendly.",
        "Anything reasonable is fine.",
        "Do it promptly.",
        "Sufficient for the ward.",
        "Easy to use, of course.",
        "Appropriate for nurses.",
        "They want it quickly.",
        "Make it easy.",
        "Keep it appropriate.",
        "With adequate care.",
    )
)
