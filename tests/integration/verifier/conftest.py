"""A compiler behind walls, opened once."""

import asyncio

import pytest
from tierproof_verifier.checks.c_program import Bench
from tierproof_verifier.handlers import bench_of
from tierproof_verifier.settings import VerifierSettings


@pytest.fixture(scope="session")
def verifier_settings() -> VerifierSettings:
    return VerifierSettings()


@pytest.fixture(scope="session")
def bench(verifier_settings: VerifierSettings) -> Bench:
    opened = asyncio.run(bench_of(verifier_settings))
    assert isinstance(opened, Bench), f"these tests need a real sandbox: {opened}"
    return opened
