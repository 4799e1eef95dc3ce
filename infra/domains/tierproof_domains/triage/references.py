"""What training hears of documents and pictures beyond the phrases of clauses.py, and of neither. Sources and media stand on both sides."""

from tierproof_domains.triage.grammar import Grammar

_NUMBERS = "3|7|12|27|40|58|133|209|2021|6.4"
_SOURCE = (
    "the cleaning validation protocol|the training matrix|work instruction WI-{n}|the CAPA database|"
    "our style guide|the contract with the supplier|annex {n} of the plan|the service handbook|"
    "the intended-use statement|the interface description|chapter {n} of the guideline|the calibration sheets|"
    "the usability study|the trace matrix|change order {n}|the predecessor's dossier|the letter of the authority|"
    "Confluence|the SharePoint folder|Jira|the intranet page on naming|EN 60601-{n}|the clinical evaluation|"
    "the register of parts|the lab notebook|the tender|form F-{n}|the e-mail thread with the notified body|"
    "the vendor's application note|the software architecture paper|test log {n}|the glossary|the regulation|"
    "protocol {n}|the configuration index|the old submission|the errata list|the literature|the batch papers|"
    "the customer's order|the bill of materials|our intranet|the document control system|the user guide"
)
LOOK_UP = Grammar(
    (
        "{verb} {source}.",
        "please {verb} {source}.",
        "{verb} {source} before you start.",
        "first of all, {verb} {source}.",
        "you have to {verb} {source} for this.",
        "what {source} says is binding.",
        "{source} holds the {facts}.",
        "the {facts} {stand} {source}.",
        "you find the {facts} in {source}.",
        "I do not remember the {facts}; {source} has them.",
        "give the page of {source} that supports you.",
        "without {source} this cannot be answered.",
        "the missing {facts} come from {source}.",
        "name the paragraph of {source} on which it rests.",
        "it depends on what {stand} {source}.",
        "{source} will tell you the {facts}.",
        "as laid down in {source}.",
        "in line with {source}, which you should open.",
        "is it the same as in {source}? Look.",
        "get the {facts} out of {source}.",
        "the {facts} are not in this message but in {source}.",
        "some research is needed: {source}.",
        "fetch {source}, then answer.",
        "add a footnote to {source}.",
        "make sure that {source} agrees, by reading it.",
        "we have written that up in {source}, use it.",
        "someone described the {facts} in {source}; look there.",
        "link the passage in {source}.",
        "the {facts} changed lately, see {source}.",
        "ask the archive for {source}.",
        "where this message is silent, {source} counts.",
        "not everything is said here: {verb} {source}.",
    ),
    {
        "n": _NUMBERS,
        "source": _SOURCE,
        "verb": (
            "go by|start from|have a look into|browse|work from|follow|cross-check with|draw on|derive it from|"
            "skim|study|look through|take into account|get hold of|download|verify it against|query|see|quote|"
            "reconcile it with|keep to|look into"
        ),
        "facts": "figures|tolerances|definitions|reasons|thresholds|names|facts|agreed terms|limits|details",
        "stand": "stands in|is written in|is recorded in|was agreed in|is kept in|is hidden in|can be read in",
    },
)
ALL_HERE = Grammar(
    (
        "you can leave {source} closed.",
        "there is no reason to open {source}.",
        "nothing from {source} is wanted.",
        "all {facts} stand in these lines.",
        "the lines here suffice.",
        "what you read is what there is.",
        "use this request and nothing besides.",
        "please answer without {source}.",
        "{source} is of no use here.",
        "forget {source}, I have copied the {facts} in.",
        "I have put all {facts} into the message.",
        "no research, please.",
        "you know enough from these sentences.",
        "don't go searching in {source}.",
        "you won't have to read {source}.",
        "other papers play no part.",
        "there is nothing further to read than this.",
        "the {facts} given are sufficient.",
        "nothing is missing here.",
        "there are no further {facts} anywhere.",
        "work with the words above and below only.",
        "no lookup, no browsing.",
        "a database is not involved.",
        "skip {source}.",
        "without any reading up.",
        "the message contains each of the {facts}.",
        "I left nothing out.",
        "one need not know {source} for that.",
        "no file but this request counts.",
        "take only what I write here.",
    ),
    {
        "n": _NUMBERS,
        "source": _SOURCE,
        "facts": "figures|values|facts|definitions|numbers|details|inputs|limits",
    },
)
_MEDIUM = (
    "an image|a picture|a photo|a screenshot|a scan|a diagram|an illustration|a micrograph|an ultrasound frame|"
    "a CT slice|a histology slide|a thermogram|a bitmap|a TIFF|a rendering|a mock-up of the window|a wiring plan|"
    "a plotted curve|an oscilloscope trace|a faxed page|a video still|a GIF|a radiograph|a sketch|a drawing|"
    "a chart|a figure|a graphic|a BMP|an icon|a close-up of the panel|a photo of the rating plate|an MRI frame|"
    "a map of the ward|a schematic|a snapshot"
)
PICTURE = Grammar(
    (
        "enclosed is {medium}.",
        "{medium} comes with this.",
        "have a glance at what I sent: {medium}.",
        "you can see it in {medium} that I add.",
        "I made {medium} for you, it is part of the ticket.",
        "transcribe {medium}, it is appended.",
        "what is marked in red on {medium} counts.",
        "{medium} goes along with the text.",
        "I append {medium}.",
        "in {place} you find {medium}.",
        "the numbers are visible on {medium} in {place}.",
        "judge by {medium} ({place}).",
        "zoom into {medium} in {place}.",
        "this message carries {medium}.",
        "as you can see on {medium} here.",
        "the arrow on {medium} points at it.",
        "{medium} was pasted into the ticket.",
        "please view {medium}.",
        "left in {medium}, you see the part in question.",
        "the upper corner of {medium} matters, open it.",
        "I could only get it as {medium}, included here.",
        "there's {medium} with it.",
        "my phone took {medium}, attached.",
        "describe {medium} that I sent.",
        "compare with {medium} in {place}.",
        "the file {file} shows it.",
        "open {file}.",
        "{file} goes with this.",
        "{file} is {medium} of it.",
        "read what is printed on {medium}, see {file}.",
        "the pixels tell more: {file}.",
        "what {medium} in {place} depicts is meant.",
    ),
    {
        "medium": _MEDIUM,
        "place": "the appendix|the upload|the enclosure|the e-mail|the ticket|the bundle|the zip|the comment below",
        "file": "panel.png|IMG_0231.jpg|scan3.tiff|board.jpeg|view.bmp|slide.gif|fig2.svg|screen1.png",
    },
)
PLAIN = Grammar(
    (
        "I cannot send {medium}.",
        "this comes without {medium}.",
        "there isn't {medium} for this.",
        "words alone, {medium} was never made.",
        "you get no {bare}.",
        "no {bare} comes with it.",
        "don't expect {medium}.",
        "nothing to look at, just sentences.",
        "I could not get {medium}, so I describe it.",
        "the upload is empty.",
        "{medium} is not available.",
        "I send letters and digits, nothing else.",
        "without {bare} or enclosure.",
        "pure ASCII.",
        "there is no file with it.",
        "no {bare}, no {bare}.",
        "neither {medium} nor another file is enclosed.",
        "{medium} would not help, so I send none.",
        "it is all in writing, no {bare}.",
        "I forgot {medium}, do it without.",
    ),
    {
        "medium": _MEDIUM,
        "bare": "photo|screenshot|graphic|scan|sketch|enclosure|appendix|illustration|file|diagram",
    },
)
NEITHER = Grammar(
    (
        "the deadline is {day}.",
        "thanks in advance.",
        "keep it {manner}.",
        "{chief} asked for it.",
        "it is for project {name}.",
        "we need it by {day}.",
        "let me know when it is done.",
        "same procedure as with {name}.",
        "I am in a meeting until {day}.",
        "answer in a {manner} way, please.",
        "{chief} will look at it on {day}.",
        "this replaces my request of {day}.",
        "priority {n}.",
        "cost centre {n}.",
        "the target is {name}, revision {n}.",
        "it belongs to sprint {n}.",
        "{name} waits for it.",
        "I tried it myself and gave up.",
        "call me if something is unclear.",
        "do it as soon as you can.",
        "English, please.",
        "it should be {manner}.",
        "it was discussed with {chief} on {day}.",
        "have a nice {day}.",
    ),
    {
        "n": _NUMBERS,
        "day": "Monday|Tuesday|Friday|tomorrow|the end of the month|noon|next week|the 14th",
        "manner": "short|simple|clear|tidy|precise|friendly|strict",
        "chief": "my manager|the team lead|the customer|Ms Okafor|the product owner|QA|Jens|the head of R&D",
        "name": "Heron|Atlas|Mistral|Blue Fox|the new platform|Kestrel|line two|Orion",
    },
)
