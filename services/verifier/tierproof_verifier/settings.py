"""The verifier's settings: every limit and every choice that bears on a verdict."""

import hashlib
import json
from functools import cached_property
from typing import Annotated

from pydantic import Field
from pydantic_settings import SettingsConfigDict
from tierproof_bus.settings import BusSettings

from tierproof_verifier.checks.embedded_c import CPolicy
from tierproof_verifier.checks.reg_doc import DocumentLimits
from tierproof_verifier.patterns import PatternLimits
from tierproof_verifier.sandbox import Limits
from tierproof_verifier.strict_json import JsonLimits

Positive = Annotated[int, Field(ge=1)]
MIB = 2**20


class VerifierSettings(BusSettings):
    """Read from `TIERPROOF_VERIFIER_...`. Sizes in bytes, times as named."""

    model_config = SettingsConfigDict(
        frozen=True, env_prefix="TIERPROOF_VERIFIER_", extra="ignore", populate_by_name=True
    )

    workers: Positive = 2
    request_seconds: float = Field(default=60.0, gt=0, description="for all answers of one request")
    most_findings: Positive = 8
    show_expected: bool = Field(
        default=False,
        description="tell right values in findings; they may reach a repair prompt, so the answers overfit",
    )

    json_bytes: Positive = 65536
    json_depth: Positive = 32
    json_digits: Positive = 40
    pattern_characters: Positive = 400
    pattern_unbounded_repeats: Positive = 4

    c_vectors: Positive = 1024
    c_tests: Positive = 512
    c_bytes: Positive = 16384
    c_forbidden: frozenset[str] = frozenset({"goto", "recursion"})
    c_flags: tuple[str, ...] = (
        "-std=c11", "-O1", "-Wall", "-Wextra", "-Werror", "-fsanitize=undefined", "-fsanitize-undefined-trap-on-error",
    )  # fmt: skip

    allow_weaker_sandbox: bool = False
    sandbox_folders: tuple[str, ...] = ("/usr", "/bin", "/lib", "/lib32", "/lib64")
    sandbox_uid: Positive = 65534
    sandbox_gid: Positive = 65534
    sandbox_tmp_bytes: Positive = 32 * MIB
    compile_cpu_seconds: Positive = 5
    compile_wall_ms: Positive = 10_000
    compile_address_bytes: Positive = 1024 * MIB
    compile_processes: Positive = 16
    compile_file_bytes: Positive = 8 * MIB
    run_cpu_seconds: Positive = 1
    run_wall_ms: Positive = 3_000
    run_address_bytes: Positive = 128 * MIB
    run_processes: Positive = 4
    run_output_bytes: Positive = MIB

    def json_limits(self) -> JsonLimits:
        """Limits on JSON texts."""
        return JsonLimits(size=self.json_bytes, depth=self.json_depth, digits=self.json_digits)

    def document_limits(self) -> DocumentLimits:
        """Limits on documents and what is told of them."""
        patterns = PatternLimits(length=self.pattern_characters, unbounded_repeats=self.pattern_unbounded_repeats)
        return DocumentLimits(json=self.json_limits(), patterns=patterns, most_findings=self.most_findings)

    def c_policy(self) -> CPolicy:
        """How C answers are judged."""
        return CPolicy(
            vectors=self.c_vectors,
            most_tests=self.c_tests,
            forbidden=self.c_forbidden,
            most_bytes=self.c_bytes,
            most_findings=self.most_findings,
            show_expected=self.show_expected,
        )

    def compile_limits(self) -> Limits:
        """What the compiler may use."""
        return Limits(
            cpu_seconds=self.compile_cpu_seconds,
            wall_ms=self.compile_wall_ms,
            address_bytes=self.compile_address_bytes,
            processes=self.compile_processes,
            file_bytes=self.compile_file_bytes,
            tmp_bytes=self.sandbox_tmp_bytes,
            output_bytes=self.compile_file_bytes,
        )

    def run_limits(self) -> Limits:
        """What a compiled answer may use; it writes no file."""
        return Limits(
            cpu_seconds=self.run_cpu_seconds,
            wall_ms=self.run_wall_ms,
            address_bytes=self.run_address_bytes,
            processes=self.run_processes,
            file_bytes=1,
            tmp_bytes=65536,
            output_bytes=self.run_output_bytes,
        )

    @cached_property
    def judging_digest(self) -> str:
        """Twelve hexadecimal digits that change when a setting that bears on verdicts changes."""
        own = type(self).model_fields.keys() - BusSettings.model_fields.keys() - {"workers"}
        judging = self.model_dump(mode="json", include=set(own))
        judging["c_forbidden"] = sorted(judging["c_forbidden"])
        return hashlib.sha256(json.dumps(judging, sort_keys=True).encode()).hexdigest()[:12]
