"""What training hears of the harm of a failure, beyond the phrases of clauses.py. Troubles and people are the same in each class."""

from tierproof_domains.triage.grammar import Grammar

TROUBLES = (
    "when the alarm stays silent|if the rate is computed wrongly|should the motor run backwards|"
    "with a frozen display|once the battery drops out|if the checksum is not verified|after a missed interlock|"
    "in case of an overflow here|with two records mixed up|if the sensor is read too late|"
    "when the watchdog does not bite|if a unit is mistaken|should the valve stay open|when the network is down|"
    "if the value is off by ten|with this bug unfixed|if the state machine hangs|when a bit flips|"
    "if we get this wrong|if it does not work"
)
WHO = (
    "a newborn|the person on the table|somebody in intensive care|the wearer|a user|the nurse|the technician|"
    "a bystander|whoever is connected|the treated child|an elderly resident|a test subject|the surgeon|the patient"
)
_SHARED = {
    "trouble": TROUBLES,
    "who": WHO,
    "cause": "a defect|this bug|a wrong result|a late reaction|a software failure|misbehaviour|a slip",
    "says": (
        "the FMEA|our hazard analysis|the clinical evaluation|the safety case|ISO 14971 scoring|our medical adviser"
    ),
}
SERIOUS = Grammar(
    (
        "{trouble}, {who} {ends}.",
        "{who} {ends} {trouble}.",
        "{trouble} there will be {harm}.",
        "{cause} means {harm} for {who}.",
        "expect {harm} {trouble}.",
        "{says} lists {harm}.",
        "{says} speaks of {harm}, so it is {grade}.",
        "we are talking about {harm} here.",
        "{harm} has been reported {trouble}.",
        "what can happen is {harm}.",
        "{who} could end with {harm}.",
        "{who} may come to {harm} through {cause}.",
        "note that {who} {ends} {trouble}!",
        "{says} puts it at {grade}.",
        "this is {grade}.",
        "it was rated {grade}, think of {harm}.",
        "mind the consequence: {harm}.",
        "{cause} would be deadly for {who}.",
        "{who} will not survive {cause}.",
        "{who} never recovers from {cause}.",
        "only this function stands between {who} and {harm}.",
        "nobody survives that {trouble}.",
        "it keeps {who} breathing.",
        "{who} is dead within minutes {trouble}.",
        "not just a scratch: {harm}.",
        "the outcome is not merely {trifling}, it is {harm}.",
    ),
    {
        **_SHARED,
        "ends": (
            "dies|bleeds to death|stops breathing|has a stroke|loses a leg|falls into a coma|is paralysed for life|"
            "is electrocuted|must be resuscitated|stays deaf for ever|goes into septic shock|drowns in fluid|"
            "is crippled|does not live to see the morning|is maimed|is crushed|needs emergency surgery|"
            "is poisoned beyond help|passes away"
        ),
        "harm": (
            "a fatality|paralysis|a stroke|ventricular fibrillation|a perforated artery|the loss of a limb|"
            "lasting disability|sepsis|respiratory failure|third-degree burns|kidney failure|"
            "a haemorrhage in the skull|anaphylactic shock|an air embolism|electrocution|an amputation|deep coma|"
            "a life-threatening arrhythmia|deafness for life|a crushed hand|a miscarriage|hypoxia of the newborn|"
            "a ruptured lung|a dead person|deaths|severe, lasting injury|critical injury|life-threatening harm|"
            "an untreated infarction|lethal hypoglycaemia|a spinal lesion|a fatal outcome"
        ),
        "grade": (
            "IEC 62304 class C|software of class C|the highest class|severity S5|critical|catastrophic harm|"
            "life-critical|safety-critical in the gravest sense|vital|a matter of life and death"
        ),
        "trifling": "an ache|a delay|a nuisance|a blister",
    },
)
MINOR = Grammar(
    (
        "{trouble}, {who} {gets}.",
        "{who} {gets} {trouble}.",
        "{trouble} there may be {harm}.",
        "{cause} means {harm} for {who}, no more.",
        "expect {harm} {trouble}.",
        "{says} lists {harm}.",
        "{says} speaks of {harm}, so it is {grade}.",
        "we are talking about {harm} here.",
        "{harm} has been reported {trouble}.",
        "what can happen is {harm}.",
        "{who} could end with {harm}.",
        "{who} may come to {harm} through {cause}.",
        "note that {who} {gets} {trouble}.",
        "{says} puts it at {grade}.",
        "this is {grade}.",
        "it was rated {grade}, think of {harm}.",
        "mind the consequence: {harm}.",
        "{harm}, but nobody dies of it.",
        "there is no threat to life, yet {harm} is conceivable.",
        "at most {harm}.",
        "{who} {gets}, and that is as bad as it becomes.",
        "{who} is well again the next day, with {harm} behind them.",
        "{who} recovers fully from {harm}.",
        "{harm} that passes on its own.",
        "not deadly, though {who} {gets}.",
        "a little harm is possible: {harm}.",
        "{harm} would be treated on the spot.",
    ),
    {
        **_SHARED,
        "gets": (
            "gets away with a blister|is sore for a day|feels faint for a minute|needs first aid|"
            "has a stiff neck until the evening|is hurt a little|gets a mild electric tingle|"
            "has cramp for a moment|must be pricked a second time|limps for an hour|gets a nosebleed|"
            "feels unwell for a while|has an ache that goes away|is scratched|coughs for a bit|"
            "suffers a harmless sting|has a numb finger for some time|shivers|stays one more night in hospital"
        ),
        "harm": (
            "a blister|mild swelling|a scratch|a stiff neck|a numb finger|a sore shoulder|a passing weakness|"
            "a cramp|a nosebleed|an itch|a chafed heel|a light sprain|a mild allergic reaction|tingling|"
            "a second needle prick|a repeated blood draw|a slight fever|a sleepless night|red pressure marks|"
            "low blood sugar that juice corrects|a bump on the head|small wounds that close by themselves|"
            "passing earache|an upset stomach|slight bleeding where the needle was|a first-degree burn|"
            "harm that is not serious|recoverable injury|a trivial injury|temporary impairment|an ache|"
            "moderate irritation"
        ),
        "grade": (
            "IEC 62304 class B|software of class B|the middle class|severity S2|a marginal hazard|"
            "low but not zero harm|a small injury|non-critical, with some harm|minor harm|tolerable harm"
        ),
    },
)
HARMLESS = Grammar(
    (
        "{trouble}, {trifle}.",
        "{trifle} {trouble}, and that is it.",
        "{trouble} there is no harm to {who}.",
        "{cause} means that {trifle}.",
        "expect no more than that {trifle}.",
        "{says} lists no harm.",
        "{says} found no way to hurt {who}, so it is {grade}.",
        "we are talking about {place} here.",
        "no injury has been reported {trouble}.",
        "what can happen is that {trifle}.",
        "{who} stays unharmed {trouble}.",
        "{who} will not even notice {cause}.",
        "{says} puts it at {grade}.",
        "this is {grade}.",
        "it was rated {grade}, think of {place}.",
        "it is {place}, {who} never meets it.",
        "it lives in {place}.",
        "for {place} only.",
        "we need it for {place}, where {cause} hurts no one.",
        "neither death nor injury can come of it.",
        "{who} is not affected by {cause}.",
        "{harm} cannot come of it.",
        "it has nothing to do with the health of {who}.",
        "{cause} is embarrassing, not dangerous.",
        "not a safety matter: {trifle}.",
        "no one is exposed to it.",
        "zero risk for {who}.",
        "even {trouble}, everybody stays safe.",
        "{harm} is excluded, as it is {place}.",
    ),
    {
        **_SHARED,
        "trifle": (
            "a report prints twice|the log has a gap|a label is misaligned|the build turns red|"
            "a developer waits a minute|somebody clicks again|an icon looks odd|an e-mail goes out late|"
            "the paper towels are ordered late|a table lacks its heading|the intern fixes it after lunch|"
            "a font is too small|we lose some statistics|the slides look ugly|the nightly job is repeated|"
            "a tester sighs|the counter on the intranet is off|we are teased at the stand-up"
        ),
        "place": (
            "the demo at the trade fair|a simulator for students|the intranet|the cafeteria's tablet|"
            "a phantom on a shelf|the marketing kiosk|continuous integration|synthetic data|"
            "the warehouse inventory|a prototype that is never sold|billing|our time sheets|a classroom exercise|"
            "the archive of old builds|the office printer|a script on my desktop|a mock without hardware"
        ),
        "grade": (
            "IEC 62304 class A|software of class A|the lowest class|severity S0|not safety-related|"
            "no hazard at all|negligible|irrelevant to safety|free of any risk|uncritical"
        ),
        "harm": "a fatality|bodily harm|an injury|even a scratch|paralysis|a burn|any hurt|a wound",
    },
)
