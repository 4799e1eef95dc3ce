"""Programs that try to get out, look around, or take the machine down. Each is compiled and run for real."""

import asyncio
import dataclasses
import os
import socket
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tierproof_verifier.checks.c_program import Bench
from tierproof_verifier.errors import SandboxRefused
from tierproof_verifier.sandbox import Ended, Limits, Sandbox, opened

pytestmark = pytest.mark.requirement("P2")

CANARY = "tierproof-canary-7c1d"


async def attacked(bench: Bench, program: str, limits: Limits | None = None) -> Ended:
    """Compile a hostile C program as the checks would never let it, and run it."""
    built = await bench.sandbox.run(
        ["sh", "-c", "gcc -o attack /in/attack.c && cat attack"],
        files={"attack.c": f"#define _GNU_SOURCE\n{program}".encode()},
        limits=bench.compile_limits,
    )
    assert built.exit_code == 0, built.stderr
    return await bench.sandbox.run(["/in/attack"], files={"attack": built.stdout}, limits=limits or bench.run_limits)


async def shell(bench: Bench, script: str) -> Ended:
    return await bench.sandbox.run(["sh", "-c", script], files={"own": b"mine"}, limits=bench.compile_limits)


def processes_with(word: str) -> list[str]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if word in line:
                found.append(line)
    return found


def written_outside() -> list[Path]:
    return [path for path in (Path("/usr/x"), Path("/etc/x"), Path("/dev/x")) if path.exists()]


def left_on_the_disk() -> list[Path]:
    return list(Path(tempfile.gettempdir()).glob("tierproof-check-*"))


def status_of(command: bytes) -> str:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if (entry / "cmdline").read_bytes() == command:
                    return (entry / "status").read_text()
            except OSError:
                continue
    return ""


@pytest.fixture
def listener() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    state = tmp_path / ".tierproof"
    state.mkdir()
    file = state / "signing-key"
    file.write_text(CANARY)
    for folder in (file, *list(file.parents)[:3]):
        folder.chmod(0o755)
    return file


async def test_the_network_is_not_there(bench: Bench, listener: int) -> None:
    ended = await attacked(
        bench,
        """
        #include <arpa/inet.h>
        #include <sys/socket.h>
        #include <errno.h>
        int main(void) {
            struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(PORT)};
            inet_pton(AF_INET, "127.0.0.1", &to.sin_addr);
            return connect(socket(AF_INET, SOCK_STREAM, 0), (void *)&to, sizeof to) == 0 ? 0 : errno;
        }
        """.replace("PORT", str(listener)),
    )
    assert ended.exit_code != 0


async def test_a_file_outside_cannot_be_read(bench: Bench, canary: Path) -> None:
    ended = await shell(
        bench, f"cat {canary}; cat /proc/1/root{canary}; cat /old{canary}; ls /root /home /var /etc /proc"
    )
    assert CANARY.encode() not in ended.stdout + ended.stderr
    assert b"passwd" not in ended.stdout
    assert ended.stdout == b"/etc:\n"


async def test_the_compiler_cannot_include_or_embed_a_file_outside(bench: Bench, canary: Path) -> None:
    for source in (f'#include "{canary}"\n', f'__asm__(".incbin \\"{canary}\\"");\nint main(void){{return 0;}}\n'):
        ended = await bench.sandbox.run(
            ["sh", "-c", "gcc -o a /in/a.c; cat a"], files={"a.c": source.encode()}, limits=bench.compile_limits
        )
        assert CANARY.encode() not in ended.stdout + ended.stderr


async def test_nothing_outside_or_of_the_toolchain_can_be_written(bench: Bench) -> None:
    ended = await shell(
        bench, "for f in /usr/x /in/x /in/own /x /dev/x /etc/x; do echo hacked > $f && echo WROTE $f; done; true"
    )
    assert b"WROTE /usr" not in ended.stdout
    assert b"WROTE /in" not in ended.stdout
    assert not written_outside()


async def test_what_one_run_writes_the_next_does_not_see(bench: Bench) -> None:
    await shell(bench, "echo left > /tmp/left")
    assert (await shell(bench, "cat /tmp/left")).exit_code != 0


async def test_no_environment_and_no_privilege_is_inherited(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIERPROOF_SECRET", CANARY)
    ended = await shell(
        bench, "env; mount -t tmpfs x /tmp && echo MOUNTED; mknod /tmp/disk b 254 0 && echo DEVICE; true"
    )
    assert CANARY.encode() not in ended.stdout
    assert b"MOUNTED" not in ended.stdout
    assert b"DEVICE" not in ended.stdout


async def test_a_service_that_runs_as_root_does_not_lend_its_identity(bench: Bench) -> None:
    if os.geteuid() != 0:
        pytest.skip("the service runs as an ordinary user here")
    running = asyncio.ensure_future(shell(bench, "sleep 0.61803"))
    status = ""
    while not status and not running.done():
        await asyncio.sleep(0.01)
        status = status_of(b"sleep\x000.61803\x00")
    await running
    uid, gid = bench.sandbox.account
    for line in (f"Uid:\t{uid}", f"Gid:\t{gid}", "CapEff:\t0000000000000000", "NoNewPrivs:\t1"):
        assert line in status


async def test_a_fork_bomb_ends_with_its_run(bench: Bench) -> None:
    began = time.monotonic()
    ended = await attacked(bench, "#include <unistd.h>\nint main(void) { for (;;) { fork(); } }")
    assert ended.exit_code != 0
    assert time.monotonic() - began < 10
    assert not processes_with("/in/attack")


async def test_a_memory_bomb_is_refused_memory(bench: Bench) -> None:
    ended = await attacked(
        bench,
        """
        #include <stdlib.h>
        #include <string.h>
        int main(void) {
            for (unsigned long got = 0;; got += 1 << 20) {
                void *block = malloc(1 << 20);
                if (!block) return got < (unsigned long)MOST ? 42 : 43;
                memset(block, 1, 1 << 20);
            }
        }
        """.replace("MOST", str(bench.run_limits.address_bytes)),
    )
    assert ended.exit_code == 42


async def test_an_endless_loop_ends(bench: Bench) -> None:
    began = time.monotonic()
    ended = await attacked(bench, "int main(void) { for (;;) ; }")
    assert ended.exit_code == 128 + 24
    assert time.monotonic() - began < 5


async def test_a_sleeper_ends_at_the_wall_clock(bench: Bench) -> None:
    limits = dataclasses.replace(bench.run_limits, wall_ms=700)
    began = time.monotonic()
    ended = await attacked(bench, "#include <unistd.h>\nint main(void) { sleep(1000); }", limits)
    assert ended.why == "wall-time"
    assert time.monotonic() - began < 3
    assert not processes_with("/in/attack")


async def test_huge_output_is_cut_and_its_writer_killed(bench: Bench) -> None:
    ended = await attacked(
        bench, '#include <stdio.h>\nint main(void) { for (;;) puts("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"); }'
    )
    assert ended.why == "output"
    assert len(ended.stdout) <= bench.run_limits.output_bytes


async def test_a_huge_file_cannot_be_written(bench: Bench) -> None:
    ended = await shell(bench, "head -c 200000000 /usr/bin/perl /usr/bin/* 2>/dev/null > /tmp/big; wc -c < /tmp/big")
    assert int(ended.stdout.split()[-1]) <= bench.compile_limits.file_bytes


async def test_many_files_fill_only_the_sandbox(bench: Bench) -> None:
    ended = await shell(bench, "i=0; while echo x > /tmp/$i; do i=$((i+1)); done 2>/dev/null; echo $i")
    assert int(ended.stdout or b"0") <= 4096


async def test_a_daemon_is_not_left_behind(bench: Bench) -> None:
    ended = await attacked(
        bench,
        """
        #include <unistd.h>
        #include <sys/prctl.h>
        int main(void) {
            if (fork() == 0) { setsid(); if (fork() == 0) { close(0); close(1); close(2); sleep(1000); } _exit(0); }
            return 0;
        }
        """,
    )
    assert ended.why == "exited"
    await asyncio.sleep(0.1)
    assert not processes_with("/in/attack")


async def test_the_first_process_cannot_be_killed_from_inside(bench: Bench) -> None:
    ended = await shell(bench, "kill -9 1; kill -9 -1; echo still here")
    assert ended.why == "exited"


@pytest.mark.parametrize(
    "bomb",
    [
        "char a[1UL << 40] = {1}; int main(void) { return a[0]; }",
        "#define A(x) x x x x x x x x x x\n#define B(x) A(A(A(A(A(x)))))\nint main(void) { return 0 B(B(+1)); }",
        "struct s { struct s2 *x; }; int main(void) { return " + "(" * 200_000 + "0" + ")" * 200_000 + "; }",
        '#include "/dev/null"\n#include __FILE__\nint main(void) { return 0; }',
    ],
    ids=["huge array", "macro", "nesting", "self-inclusion"],
)
async def test_a_compile_bomb_ends_within_its_limits(bench: Bench, bomb: str) -> None:
    began = time.monotonic()
    ended = await bench.sandbox.run(
        ["sh", "-c", "gcc -o a /in/a.c && cat a"], files={"a.c": bomb.encode()}, limits=bench.compile_limits
    )
    assert ended.why != "exited" or ended.exit_code != 0
    assert time.monotonic() - began < 2 + bench.compile_limits.wall_ms / 1000
    assert not processes_with("cc1 ")


async def test_nothing_is_left_on_the_disk(bench: Bench) -> None:
    await shell(bench, "echo x > /tmp/y")
    assert not left_on_the_disk()


async def test_walls_that_cannot_be_built_are_a_refusal_and_nothing_runs(bench: Bench) -> None:
    broken = Sandbox(folders=("/nowhere",), account=bench.sandbox.account)
    with pytest.raises(SandboxRefused, match="ALLOW_WEAKER_SANDBOX"):
        await broken.run(["true"], files={}, limits=dataclasses.replace(bench.run_limits, wall_ms=1))
    with pytest.raises(SandboxRefused):
        await opened(
            folders=("/usr",), account=(65534, 65534), allow_weaker=False,
            probe=dataclasses.replace(bench.run_limits, wall_ms=1),
        )  # fmt: skip


async def test_the_weaker_sandbox_is_had_only_when_allowed_and_keeps_the_limits(bench: Bench) -> None:
    impatient = dataclasses.replace(bench.run_limits, wall_ms=1)
    weaker = await opened(folders=("/usr",), account=(65534, 65534), allow_weaker=True, probe=impatient)
    assert weaker.weaker
    ended = await weaker.run(
        ["sh", "-c", "cat ../in/own; while :; do :; done"], files={"own": b"mine"}, limits=bench.run_limits
    )
    assert ended.stdout == b"mine"
    assert ended.exit_code == 128 + 24
