"""How many leaks of a sealed examination are found, by form, and how many clean records are wrongly called leaks.

Items are functions of Python's own standard library: the docstring is the prompt, the code the answer. Half are sealed, half are clean
records. Each sealed one leaks in four forms: verbatim, prompt only, without comments and docstring, with other names. The measure was
chosen on one half of the library's functions (by the digest of their names); the other half, held out, is what the answer is about.
`python loadtests/contamination.py [--functions 600] [--half tuned]`
"""

import argparse
import ast
import hashlib
import io
import json
import keyword
import random
import resource
import sysconfig
import textwrap
import time
import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import machine
from tierproof_curator import ngrams
from tierproof_curator.records import Record

RESULT = Path(__file__).parent / "results" / "contamination.json"
FORMS = ("verbatim", "prompt only", "comments gone", "renamed")
LEAST_LINES = 8
TARGETS = {"recall": 0.97, "false_alarms": 0.03}


def functions() -> Iterator[tuple[str, str, str]]:
    """Yield name, docstring and source of the library's functions, each source once."""
    seen = set()
    library = Path(sysconfig.get_path("stdlib"))
    for path in sorted(library.glob("*.py")) + sorted(library.glob("*/*.py")):
        if "test" in path.parts or "site-packages" in path.parts:
            continue
        try:
            text = path.read_text()
            tree = ast.parse(text)
        except (SyntaxError, UnicodeDecodeError):
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef) and (said := ast.get_docstring(node)) and len(node.body) > 1:
                source = textwrap.dedent(" " * node.col_offset + (ast.get_source_segment(text, node) or ""))
                same = {
                    said,
                    ast.dump(ast.Module(body=node.body[1:], type_ignores=[])),
                }  # copied within the library: no clean record
                if (
                    source.count("\n") >= LEAST_LINES
                    and len(said.split()) >= 2 * LEAST_LINES
                    and long_enough(source)
                    and not same & seen
                ):
                    yield f"{path.stem}.{node.name}.{node.lineno}", said, source
                seen |= same


def is_held_out(name: str) -> bool:
    """Tell to which half of the library a function belongs."""
    return hashlib.sha256(name.encode()).digest()[0] % 2 == 1


def long_enough(source: str) -> bool:
    """Tell whether the code alone has some lines: shorter ones cannot be told from chance, and a sealed set leaves them out."""
    return len([line for line in stripped(source).splitlines() if line.strip()]) >= LEAST_LINES


def stripped(source: str) -> str:
    """Return a function without comments and docstring; nothing else changes."""
    out, docstring_gone = [], False
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if (
            token.type == tokenize.STRING
            and not docstring_gone
            and out
            and out[-1][0] in {tokenize.INDENT, tokenize.NEWLINE}
        ):
            docstring_gone = True
        elif token.type != tokenize.COMMENT:
            out.append((token.type, token.string))
    return tokenize.untokenize(out)


def renamed(source: str, chance: random.Random) -> str:
    """Return a function whose own names are all others."""
    names: dict[str, str] = {}
    out = []
    for token in tokenize.generate_tokens(io.StringIO(stripped(source)).readline):
        text = token.string
        if (
            token.type == tokenize.NAME
            and not keyword.iskeyword(text)
            and text not in {"self", "None", "True", "False"}
        ):
            text = names.setdefault(text, f"v{chance.randrange(10**6)}")
        out.append((token.type, text))
    return tokenize.untokenize(out)


def leaked(form: str, said: str, source: str, chance: random.Random) -> tuple[str, str]:
    """Return prompt and completion of a record that leaks an item."""
    body = stripped(source)
    match form:
        case "verbatim":
            return said, body
        case "prompt only":
            return said, "I do not know."
        case "comments gone":
            return "Write something like this.", body
        case _:
            return "Write something like this.", renamed(source, chance)


def record(name: str, prompt: str, completion: str) -> Record:
    """Return a record."""
    return Record(
        id=name,
        kind="benchmark",
        label="internal",
        licence="PSF-2.0",
        source="stdlib",
        prompt=prompt,
        completion=completion,
    )


def main() -> None:
    """Measure and write the answer."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--functions", type=int, default=600)
    parser.add_argument("--half", choices=("held out", "tuned"), default="held out")
    asked, chance = parser.parse_args(), random.Random(7)
    known = [each for each in functions() if is_held_out(each[0]) == (asked.half == "held out")]
    chance.shuffle(known)
    known = known[: asked.functions]
    sealed, clean = known[: len(known) // 2], known[len(known) // 2 :]
    measure, key = ngrams.Measure(), bytes(16)
    items = [ngrams.sealed_item(name, (said, source), measure, key) for name, said, source in sealed]
    path = RESULT.with_suffix(".sealed.tmp")
    path.write_bytes(ngrams.written("benchmark", items, measure, key))
    search = ngrams.read(path).overlapping()
    size = path.stat().st_size
    path.unlink()
    began, recall = time.process_time(), {}
    for form in FORMS:
        found = sum(
            search.leak_in(record(name, *leaked(form, said, source, chance))) is not None
            for name, said, source in sealed
        )
        recall[form] = {"leaks": len(sealed), "found": found, "recall": round(found / len(sealed), 4)}
    false = [name for name, said, source in clean if search.leak_in(record(name, said, stripped(source))) is not None]
    report: dict[str, Any] = {
        "question": "are leaks of a sealed examination found, and only these?",
        "recall": recall,
        "clean_records": len(clean),
        "false_alarms": len(false),
        "false_alarm_share": round(len(false) / len(clean), 4),
        "wrongly_named": false[:10],
        "targets": TARGETS,
        "met": all(each["recall"] >= TARGETS["recall"] for each in recall.values())
        and len(false) <= TARGETS["false_alarms"] * len(clean),
        "measure": measure.to_json(),
        "records_per_cpu_second": round((len(FORMS) * len(sealed) + len(clean)) / (time.process_time() - began)),
        "sealed_file_bytes": size,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "half": asked.half,
        "machine": machine.describe(),
    }
    RESULT.write_text(json.dumps(report, indent=1) + "\n")
    print(
        json.dumps(
            {name: report[name] for name in ("recall", "false_alarm_share", "met", "records_per_cpu_second")}, indent=1
        )
    )


if __name__ == "__main__":
    main()
