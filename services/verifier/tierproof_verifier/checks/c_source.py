"""Reads a C answer and refuses whatever is not one plain function over integers.

What is compiled is exactly the text that was parsed here: comments become spaces, the two allowed includes are given to the
compiler instead, and nothing is left for the preprocessor. Without pointers, calls, assembly, declarations outside the function or
state that outlives a call, an answer has no way to reach the harness that measures it.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from pycparser import c_ast, c_parser  # type: ignore[import-untyped] # publishes no types
from pycparser.c_parser import ParseError  # type: ignore[import-untyped] # as above
from tierproof_contracts.verification import Finding

from tierproof_verifier.checks.c_signature import Signature
from tierproof_verifier.findings import finding

_FENCE = re.compile(r"\s*```(?:[cC])?[ \t]*\n(?P<inside>.*?)\n?```\s*", re.DOTALL)
_TOKEN = re.compile(r"/\*.*?\*/|//[^\n]*|'(?:[^'\\\n]|\\.)+'|.", re.DOTALL)
_INCLUDE = re.compile(r"^[ \t]*#[ \t]*include[ \t]*<(?:stdint|stdbool)\.h>[ \t]*$", re.MULTILINE)
_WIDTHS = {"8": "char", "16": "short", "32": "int", "64": "long"}
_PRELUDE = "typedef _Bool bool; " + " ".join(
    f"typedef {sign} {base} {'u' if sign == 'unsigned' else ''}int{width}_t;"
    for width, base in _WIDTHS.items()
    for sign in ("signed", "unsigned")
)
_TYPES = frozenset(
    ["bool", "_Bool", "char", "short", "int", "long", "signed", "unsigned"]
    + [f"{sign}int{width}_t" for width in _WIDTHS for sign in ("", "u")]
)
_CONSTANT_MACROS = frozenset(f"{sign}INT{width}_C" for width in _WIDTHS for sign in ("", "U"))
_ALLOWED = frozenset(
    [
        "ArrayDecl",
        "ArrayRef",
        "Assignment",
        "BinaryOp",
        "Break",
        "Case",
        "Cast",
        "Compound",
        "Constant",
        "Continue",
        "Decl",
        "DeclList",
        "Default",
        "DoWhile",
        "EmptyStatement",
        "ExprList",
        "For",
        "FuncCall",
        "FuncDecl",
        "FuncDef",
        "Goto",
        "ID",
        "IdentifierType",
        "If",
        "InitList",
        "Label",
        "ParamList",
        "Return",
        "Switch",
        "TernaryOp",
        "TypeDecl",
        "Typename",
        "UnaryOp",
        "While",
    ]
)
_POSITION = re.compile(r":(\d+):(\d+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A function as it is compiled, the integer constants in it, and how many lines of the answer lie above it."""

    text: str
    constants: frozenset[int]
    lines_above: int


class NotPlain(Exception):
    """An answer that is refused before any compiler sees it."""

    def __init__(self, found: Finding) -> None:
        super().__init__(found.note)
        self.found = found


def without_fence(answer: str) -> tuple[str, bool]:
    """Return the code inside a single fence around all of the answer, and whether there was one."""
    fenced = _FENCE.fullmatch(answer)
    return (fenced["inside"], True) if fenced and "```" not in fenced["inside"] else (answer, False)


def read_function(answer: str, signature: Signature, *, forbidden: frozenset[str], most_bytes: int) -> Source:
    """Return the one function of an answer.

    `forbidden` names constructs that the team's policy refuses besides (`goto`, `recursion`, `do-while`, `loops`, `switch`).
    Raises `NotPlain` with the first fault.
    """
    if len(answer.encode()) > most_bytes:
        raise NotPlain(finding("too-large", "", f"the answer is larger than {most_bytes} bytes"))
    code, fenced = without_fence(answer)
    above = answer[: answer.index("```")].count("\n") + 1 if fenced else 0
    text = _plain(code, above)
    try:
        unit = c_parser.CParser().parse(f"{_PRELUDE}\n{text}", "answer")
    except (ParseError, RecursionError) as error:
        position = _POSITION.search(str(error))
        where = f"{int(position[1]) - 1 + above}:{position[2]}" if position else ""
        note = "this is not one plain C function: it cannot be read from here on; give the function alone"
        raise NotPlain(finding("does-not-parse", where, note)) from None
    definition = _only_function(unit, above)
    for fault in _faults(definition, signature, forbidden, above):
        raise NotPlain(fault)
    return Source(text=text, constants=frozenset(constants_in(definition)), lines_above=above)


def constants_in(node: c_ast.Node) -> Iterator[int]:
    """Yield the integer constants below a node: where an answer changes its behaviour, wrong answers differ."""
    for inner in _walk(node):
        if isinstance(inner, c_ast.Constant):
            try:
                yield int(re.sub(r"[uUlL]+$", "", inner.value), 0)
            except ValueError:
                continue  # an octal or character constant


def constants_of_text(source: str) -> frozenset[int]:
    """Return the decimal and hexadecimal constants of any C text, such as a reference."""
    return frozenset(
        int(number, 0) for number in re.findall(r"\b(0[xX][0-9a-fA-F]{1,16}|[1-9][0-9]{0,18}|0)[uUlL]*\b", source)
    )


def _plain(code: str, above: int) -> str:
    code = _INCLUDE.sub("", code)
    parts = []
    line = 1 + above
    for token in _TOKEN.finditer(code):
        text = token[0]
        if text.startswith(("/*", "//")):
            if "\\" in text:
                raise NotPlain(finding("preprocessor", f"{line}:0", "a backslash in a comment is refused"))
            parts.append(re.sub(r"[^\n]", " ", text))
        elif text in {"#", "\\"}:
            raise NotPlain(
                finding("preprocessor", f"{line}:0", "preprocessor lines are refused but for stdint.h and stdbool.h")
            )
        elif text == '"':
            raise NotPlain(finding("string", f"{line}:0", "string literals are refused"))
        else:
            parts.append(text)
        line += text.count("\n")
    plain = "".join(parts)
    for trick in ("??", "%:", "__", "_Pragma", "_Generic"):
        if trick in plain:
            where = f"{plain[: plain.index(trick)].count(chr(10)) + 1 + above}:0"
            raise NotPlain(finding("reserved", where, "trigraphs, digraphs and reserved names are refused"))
    return plain


def _only_function(unit: c_ast.FileAST, above: int) -> c_ast.FuncDef:
    own = [node for node in unit.ext if node.coord.line > 1]
    if len(own) == 1 and isinstance(own[0], c_ast.FuncDef):
        return own[0]
    stranger = next((node for node in own if not isinstance(node, c_ast.FuncDef)), own[1] if len(own) > 1 else None)
    where = _where(stranger, above) if stranger is not None else ""
    note = "the answer must be exactly one function definition, with no other declaration beside it"
    raise NotPlain(finding("not-one-function", where, note))


def _faults(
    definition: c_ast.FuncDef, signature: Signature, forbidden: frozenset[str], above: int
) -> Iterator[Finding]:
    if definition.param_decls or not _signature_fits(definition.decl, signature):
        note = f"the function must be `{signature.prototype()}`"
        yield finding("wrong-signature", _where(definition.decl, above), note)
        return
    for node in _walk(definition):
        problem = _problem(node, signature, forbidden)
        if problem:
            yield finding(*problem[:1], _where(node, above), problem[1])


def _signature_fits(decl: c_ast.Decl, signature: Signature) -> bool:
    function = decl.type
    if decl.storage or decl.funcspec or decl.quals or decl.name != signature.name or not function.args:
        return False
    given = [(param.name, _type_of(param)) for param in function.args.params if isinstance(param, c_ast.Decl)]
    wanted = [(parameter.name, _normal(parameter.type)) for parameter in signature.parameters]
    return (
        len(given) == len(function.args.params)
        and given == wanted
        and isinstance(function.type, c_ast.TypeDecl)
        and not function.type.quals
        and _normal(" ".join(function.type.type.names)) == _normal(signature.returns)
    )


def _type_of(param: c_ast.Decl) -> str:
    inner = param.type
    if not isinstance(inner, c_ast.TypeDecl) or not isinstance(inner.type, c_ast.IdentifierType):
        return ""
    return "" if set(inner.quals) - {"const"} else _normal(" ".join(inner.type.names))


def _normal(type_name: str) -> str:
    return "bool" if type_name == "_Bool" else type_name


def _problem(node: c_ast.Node, signature: Signature, forbidden: frozenset[str]) -> tuple[str, str] | None:
    kind = type(node).__name__
    if kind == "PtrDecl":
        return "pointer", "pointers are refused"
    if kind not in _ALLOWED:
        return "forbidden-construct", f"{kind} is refused"
    rule = _BY_KIND.get(kind)
    return rule(node, signature, forbidden) if rule else None


def _call_problem(node: c_ast.FuncCall, signature: Signature, forbidden: frozenset[str]) -> tuple[str, str] | None:
    name = node.name.name if isinstance(node.name, c_ast.ID) else ""
    if name in _CONSTANT_MACROS:
        return None
    if name == signature.name and "recursion" not in forbidden:
        return None
    return "call", "calls of other functions are refused" if name != signature.name else "recursion is refused"


def _unary_problem(node: c_ast.UnaryOp, _signature: Signature, _forbidden: frozenset[str]) -> tuple[str, str] | None:
    return ("pointer", "addresses and pointers are refused") if node.op in {"&", "*"} else None


def _decl_problem(node: c_ast.Decl, _signature: Signature, _forbidden: frozenset[str]) -> tuple[str, str] | None:
    if set(node.storage) - {"static"} or ("static" in node.storage and "const" not in node.quals):
        return "state", "static (unless const), extern, register and typedef are refused inside the function"
    if "volatile" in node.quals or node.funcspec:
        return "forbidden-construct", "volatile and function specifiers are refused"
    return None


def _type_problem(
    node: c_ast.IdentifierType, _signature: Signature, _forbidden: frozenset[str]
) -> tuple[str, str] | None:
    return None if set(node.names) <= _TYPES else ("forbidden-type", "only integer types and bool are allowed")


def _constant_problem(
    node: c_ast.Constant, _signature: Signature, _forbidden: frozenset[str]
) -> tuple[str, str] | None:
    floating = "float" in node.type or "double" in node.type or node.type == "string"
    return ("forbidden-type", "only integer constants are allowed") if floating else None


def _policy_problem(node: c_ast.Node, _signature: Signature, forbidden: frozenset[str]) -> tuple[str, str] | None:
    name = _POLICY_NAMES[type(node).__name__]
    refused = name in forbidden or (name in {"for", "while", "do-while"} and "loops" in forbidden)
    return ("forbidden-construct", f"{name} is refused by policy") if refused else None


_POLICY_NAMES = {
    "Goto": "goto",
    "Switch": "switch",
    "For": "for",
    "While": "while",
    "DoWhile": "do-while",
    "Label": "goto",
}
_BY_KIND = {
    "FuncCall": _call_problem,
    "UnaryOp": _unary_problem,
    "Decl": _decl_problem,
    "IdentifierType": _type_problem,
    "Constant": _constant_problem,
    **dict.fromkeys(_POLICY_NAMES, _policy_problem),
}


def _walk(node: c_ast.Node) -> Iterator[c_ast.Node]:
    waiting = [node]
    while waiting:
        here = waiting.pop()
        yield here
        waiting.extend(reversed([inner for _, inner in here.children()]))


def _where(node: c_ast.Node, above: int) -> str:
    coord = node.coord
    return f"{coord.line - 1 + above}:{coord.column or 0}" if coord else ""
