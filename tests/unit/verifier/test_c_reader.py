"""What the C reader lets through to the compiler, and which inputs are tried; no compiler here."""

import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tierproof_verifier.checks.c_program import _anonymous, _results
from tierproof_verifier.checks.c_signature import Signature, range_of, signature_from
from tierproof_verifier.checks.c_source import NotPlain, Source, constants_of_text, read_function
from tierproof_verifier.checks.c_vectors import vectors_for
from tierproof_verifier.checks.embedded_c import _tests_from
from tierproof_verifier.errors import InputRefused
from tierproof_verifier.sandbox import Ended

pytestmark = pytest.mark.requirement("P2")


def signature(*types: str, returns: str = "uint32_t", **first: int) -> Signature:
    names = "xyzuvw"
    parameters: list[dict[str, Any]] = [{"name": names[at], "type": kind} for at, kind in enumerate(types)]
    parameters[0].update(first)
    return signature_from(json.dumps({"name": "f", "returns": returns, "parameters": parameters}))


def read(answer: str, *, forbidden: frozenset[str] = frozenset({"goto", "recursion"})) -> Source:
    return read_function(answer, signature("uint32_t"), forbidden=forbidden, most_bytes=4000)


def inside(body: str) -> str:
    return f"uint32_t f(uint32_t x) {{ {body} }}"


def code_of(answer: str, **policy: Any) -> str:
    with pytest.raises(NotPlain) as refused:
        read(answer, **policy)
    return refused.value.found.code


@pytest.mark.parametrize(
    "body",
    [
        "return x;",
        "uint8_t n = 0; for (uint8_t i = 0; i < 8u; i++) { n ^= (uint8_t)(x >> i); } return n;",
        "static const uint8_t table[4] = {1, 2, 3, 4}; return table[x & 3u];",
        "switch (x) { case 1: return 2; default: break; } return x ? 'a' : UINT32_C(7) & UINT32_MAX;",
        "do { x /= 2; } while (x > 9u); bool odd = x % 2 == 1; return odd ? true : false;",
        "int a = (int)sizeof(uint16_t), b; b = a; if (b) { ; } else { x = ~x; } return !x || x && 1u;",
        "while (1) { if (x > 5) { break; } x++; continue; } return x;",
    ],
)
def test_plain_functions_are_read(body: str) -> None:
    assert read(inside(body)).text == inside(body)


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ("#include <stdio.h>\nuint32_t f(uint32_t x) { return x; }", "preprocessor"),
        ("#define f g\nuint32_t f(uint32_t x) { return x; }", "preprocessor"),
        ("#include <stdint.h> \\\n\nuint32_t f(uint32_t x) { return x; }", "preprocessor"),
        ("// go on \\\nuint32_t f(uint32_t x) { return x; }", "preprocessor"),
        (inside("??=define A\nreturn x;"), "reserved"),
        (inside("%:define A\nreturn x;"), "reserved"),
        (inside("__builtin_exit(0); return x;"), "reserved"),
        ("__attribute__((constructor)) " + inside("return x;"), "reserved"),
        (inside('_Pragma("GCC diagnostic ignored") return x;'), "string"),
        (inside('asm("nop"); return x;'), "string"),
        (inside("asm(1); return x;"), "call"),
        (inside("exit(0); return x;"), "call"),
        (inside("return system(x);"), "call"),
        (inside("return ((uint32_t)(*)(void))x;"), "does-not-parse"),
        (inside("return f(x - 1);"), "call"),
        (inside("uint32_t *p = &x; return *p;"), "pointer"),
        (inside("return *(volatile uint32_t *)0x40000000;"), "pointer"),
        (inside("return &x == 0;"), "pointer"),
        (inside("static uint32_t n; return n++;"), "state"),
        (inside("extern uint32_t n; return n;"), "state"),
        (inside("volatile uint32_t n = x; return n;"), "forbidden-construct"),
        (inside("goto end; end: return x;"), "forbidden-construct"),
        (inside("struct s { uint32_t a; } s = {x}; return s.a;"), "forbidden-construct"),
        (inside("float y = x; return y;"), "forbidden-type"),
        (inside("return x * 1.5;"), "forbidden-type"),
        (inside("size_t n = x; return n;"), "does-not-parse"),
        (inside("return x;") + inside("return x;"), "not-one-function"),
        ("uint32_t g(uint32_t x);" + inside("return x;"), "not-one-function"),
        ("static uint32_t n;" + inside("return x;"), "not-one-function"),
        ("uint32_t f(uint32_t x);", "not-one-function"),
        ("", "not-one-function"),
        ("Here is the function.", "does-not-parse"),
        (inside("return x"), "does-not-parse"),
        (inside("return x; }") + "}", "does-not-parse"),
        ("uint32_t g(uint32_t x) { return x; }", "wrong-signature"),
        ("uint32_t f(uint16_t x) { return x; }", "wrong-signature"),
        ("uint32_t f(uint32_t y) { return y; }", "wrong-signature"),
        ("uint16_t f(uint32_t x) { return x; }", "wrong-signature"),
        ("uint32_t f(uint32_t x, uint32_t y) { return x + y; }", "wrong-signature"),
        ("uint32_t f(uint32_t *x) { return 0; }", "wrong-signature"),
        ("uint32_t f(uint32_t x[4]) { return 0; }", "wrong-signature"),
        ("static uint32_t f(uint32_t x) { return x; }", "wrong-signature"),
        ("inline uint32_t f(uint32_t x) { return x; }", "wrong-signature"),
        ("uint32_t f() { return 1; }", "wrong-signature"),
        ("uint32_t f(x) uint32_t x; { return x; }", "wrong-signature"),
        ("int main(void) { return 0; }", "wrong-signature"),
        (inside("return x;" + " " * 4000), "too-large"),
        (inside("return " + "(" * 1500 + "x" + ")" * 1500 + ";"), "does-not-parse"),
    ],
)
def test_whatever_is_not_one_plain_function_is_refused(answer: str, code: str) -> None:
    assert code_of(answer) == code


@pytest.mark.parametrize(
    ("forbidden", "body"),
    [
        ({"loops"}, "while (x) { x /= 2; } return x;"),
        ({"loops"}, "for (; x; ) { x /= 2; } return x;"),
        ({"do-while"}, "do { x /= 2; } while (x); return x;"),
        ({"switch"}, "switch (x) { default: return 1; }"),
    ],
)
def test_policy_may_forbid_more(forbidden: set[str], body: str) -> None:
    assert isinstance(read(inside(body)), Source)
    assert code_of(inside(body), forbidden=frozenset(forbidden)) == "forbidden-construct"


def test_policy_may_allow_goto_and_recursion() -> None:
    allowed = read(
        inside("again: if (x > 3u) { x = x / 2u; goto again; } return x ? f(0u) : 0u;"), forbidden=frozenset()
    )
    assert isinstance(allowed, Source)


def test_comments_and_allowed_includes_leave_every_line_where_it_was() -> None:
    answer = '#include <stdint.h>\n/* two\nlines "quoted" # */\nuint32_t f(uint32_t x) // end\n{ return x; }'
    lines = read(answer).text.split("\n")
    assert [line.strip() for line in lines] == ["", "", "", "uint32_t f(uint32_t x)", "{ return x; }"]


def test_positions_count_the_fence() -> None:
    with pytest.raises(NotPlain) as refused:
        read("```c\n" + inside("\n return *x;") + "\n```")
    assert refused.value.found.where.startswith("3:")


@given(st.text(alphabet="{}();#\\\"'/*?=%: xuint32_tf,+&\n0", max_size=80))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        source = read(text)
    except NotPlain:
        return
    assert "#" not in source.text


def test_constants_are_mined() -> None:
    assert read(inside("return x > 4711u ? 0x1F : 'a';")).constants >= {4711, 31}
    assert constants_of_text("if (x > 0xFFul && y == 12) a1 = 7;") == {255, 12, 7}


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"name": "main"}, "cannot name"),
        ({"name": "uint8_t"}, "cannot name"),
        ({"name": "f; int g"}, "name"),
        ({"returns": "float"}, "returns"),
        ({"parameters": []}, "parameters"),
        ({"parameters": [{"name": "f", "type": "bool"}]}, "different names"),
        ({"parameters": [{"name": "x", "type": "uint8_t", "max": 256}]}, "within 0..255"),
        ({"parameters": [{"name": "x", "type": "int8_t", "min": 5, "max": 4}]}, "in order"),
        ({"extra": 1}, "extra"),
    ],
)
def test_an_unusable_signature_is_refused(changed: dict[str, Any], says: str) -> None:
    good = {"name": "f", "returns": "bool", "parameters": [{"name": "x", "type": "int8_t"}]}
    assert signature_from(json.dumps(good)).prototype() == "bool f(int8_t x)"
    with pytest.raises(InputRefused, match=says):
        signature_from(json.dumps({**good, **changed}))


@pytest.mark.parametrize(
    "text", ["{", "{}", "[1]", "[[1]]", "[[1, 2, 3]]", "[[1, 300]]", '[["1", 2]]', "[[1.0, 2]]", "[[0, 0]]" * 2]
)
def test_unusable_tests_are_refused(text: str) -> None:
    with pytest.raises(InputRefused, match="`tests`"):
        _tests_from(text, signature("uint8_t", "uint8_t"), 3)


def test_a_small_domain_is_tried_exhaustively() -> None:
    vectors = vectors_for(signature("uint8_t", min=3), seed="s", most=300)
    assert sorted(vectors) == [(value,) for value in range(3, 256)]
    assert len(vectors_for(signature("uint8_t", "bool"), seed="s", most=600)) == 512


types = st.sampled_from(
    ["bool", "int8_t", "int16_t", "int32_t", "int64_t", "uint8_t", "uint16_t", "uint32_t", "uint64_t"]
)


@settings(deadline=None)
@example(kinds=["uint8_t"], seed="B0\x86\U0001e98d5", constants=[])
@given(
    kinds=st.lists(types, min_size=1, max_size=5),
    seed=st.text(max_size=5),
    constants=st.lists(st.integers(0, 2**64), max_size=4),
)
def test_vectors_stay_in_range_differ_and_repeat(kinds: list[str], seed: str, constants: list[int]) -> None:
    wanted = signature(*kinds)
    vectors = vectors_for(wanted, seed=seed, most=200, constants=constants)
    assert vectors == vectors_for(wanted, seed=seed, most=200, constants=constants)
    assert len(set(vectors)) == len(vectors) <= 200
    assert not list(wanted.vector_faults(vectors))
    space = 1
    for parameter in wanted.parameters:
        space *= parameter.size
    assert len(vectors) >= min(200, space) * 0.9


@given(types, st.integers(0, 2**63))
def test_corners_and_the_neighbours_of_constants_are_always_tried(kind: Any, constant: int) -> None:
    low, high = range_of(kind)
    tried = {vector[0] for vector in vectors_for(signature(kind), seed="s", most=1000, constants=[constant])}
    wanted = {low, high, 0, 1, -1, low + 1, high - 1, constant - 1, constant, constant + 1}
    assert {value for value in wanted if low <= value <= high} <= tried


def test_given_tests_come_first_and_seeds_differ() -> None:
    wanted = signature("uint32_t", "uint32_t")
    one = vectors_for(wanted, seed="one", most=100, tests=[(7, 9)])
    assert one[0] == (7, 9)
    assert one != vectors_for(wanted, seed="two", most=100, tests=[(7, 9)])


TOKEN = b"t" * 16


@pytest.mark.parametrize(
    ("why", "exit_code", "stdout", "values", "complete", "ended"),
    [
        ("exited", 0, b"\1" + bytes(7) + TOKEN, (1,), True, "exited"),
        ("exited", 0, b"\1" + bytes(7), (1,), False, "exited"),
        ("exited", 0, bytes(8) + b"u" * 16, (0,), False, "exited"),
        ("exited", 1, bytes(8) + TOKEN, (0,), False, "exited"),
        ("exited", 0, bytes(8) + TOKEN + b"more", (0,), False, "exited"),
        ("exited", 132, b"", (), False, "trapped"),
        ("exited", 139, bytes(3), (), False, "killed"),
        ("exited", 152, b"", (), False, "time"),
        ("wall-time", 137, b"", (), False, "time"),
        ("output", 137, bytes(99), (0,), False, "output"),
    ],
)
def test_results_count_only_with_the_token_at_the_end(
    why: Any,
    exit_code: int,
    stdout: bytes,
    values: tuple[int, ...],
    complete: bool,  # noqa: FBT001 - a column of the table
    ended: str,
) -> None:
    results = _results(Ended(why=why, exit_code=exit_code, stdout=stdout, stderr=b""), TOKEN, 1, "uint8_t")
    assert (results.values, results.complete, results.ended) == (values, complete, ended)


def test_compiler_messages_keep_types_and_lose_names() -> None:
    said = _anonymous("conversion from 'uint32_t' to 'unsigned int' of 'jane_doe' in 'x + 4711'")
    assert said == "conversion from uint32_t to unsigned int of ... in ..."
