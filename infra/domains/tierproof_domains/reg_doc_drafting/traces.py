"""Family `trace`: which ids a requirement comes from, and which verify it."""

import random

from tierproof_domains.item import Phrasing
from tierproof_domains.reg_doc_drafting import phrases
from tierproof_domains.reg_doc_drafting.drawn import (
    ID,
    Document,
    Drawn,
    neighbours,
    numbers,
    schema_of,
    under_other_ids,
)
from tierproof_domains.reg_doc_drafting.facts import Rule, rule
from tierproof_domains.splitting import content_key

IDS = {"type": "array", "items": ID, "minItems": 1, "maxItems": 4}
TRACE = schema_of(id=ID, satisfies=IDS, verified_by=IDS)


def trace(chance: random.Random) -> Drawn:
    """Draw one to three ids on either side; some requests name another that is to be left out."""
    number, dropped, *rest = numbers(chance, 9)
    ups, downs = chance.randint(1, 3), chance.randint(1, 3)
    satisfies = [f"SYS-{one}" for one in rest[:ups]]
    verified = [f"TC-{one}" for one in rest[3 : 3 + downs]]
    answer: Document = {"id": f"REQ-{number}", "satisfies": satisfies, "verified_by": verified}
    loose = chance.choice(("SYS", "TC")) + f"-{dropped}" if chance.random() < 0.4 else ""  # noqa: PLR2004 - some ids are named to be left out

    def say(chance: random.Random, phrasing: Phrasing) -> str:
        parts = [
            phrases.TRACE.drawn(chance, phrasing).format(
                id=answer["id"], up=_listed(satisfies, chance), down=_listed(verified, chance)
            )
        ]
        if loose:
            parts.append(phrases.DROPPED.any_drawn(chance, phrasing).format(x=loose))
        return _sentences(parts)

    known = (*neighbours("REQ", number), *satisfies, *verified, *([loose] if loose else [f"SYS-{rest[6]}"]))
    return Drawn(
        family="trace",
        key=content_key("trace", {**answer, "dropped": loose}),
        answer=answer,
        schema=TRACE,
        rules=(
            rule("id", "equals", answer["id"]),
            *_list_rules("satisfies", satisfies, known),
            *_list_rules("verified_by", verified, known),
        ),
        known=known,
        wrong=(
            {**answer, "satisfies": [*satisfies, known[-1]]},
            {**answer, "satisfies": verified, "verified_by": satisfies},
            {**answer, "verified_by": [*verified, f"TC-{rest[6]}"]},
            {**answer, "satisfies": [answer["id"]]},
            *under_other_ids(answer, "REQ", number),
        ),
        say=say,
    )


def _list_rules(name: str, ids: list[str], known: tuple[str, ...]) -> list[Rule]:
    """Return rules that leave one list: each id at its place, and none of the others that exist."""
    placed = [rule(f"/{name}/{place}", "equals", one) for place, one in enumerate(ids)]
    return placed + [rule(f"/{name}/*", "must_not_contain_word", one) for one in known if one not in ids]


def _listed(ids: list[str], chance: random.Random) -> str:
    last = chance.choice((" and ", ", ", " & ", ", "))
    return ids[0] if len(ids) == 1 else ", ".join(ids[:-1]) + last + ids[-1]


def _sentences(parts: list[str]) -> str:
    return " ".join(part if part.endswith((".", "?")) else f"{part}." for part in parts)
