"""CPU seconds and memory by part of a stack, all descendants included (PostgreSQL forks, Triton starts a process per model)."""

from collections.abc import Iterator

import psutil
from tierproof_embedded.stack import Stack

MIB = 2**20


def _family(pid: int) -> Iterator[psutil.Process]:
    try:
        head = psutil.Process(pid)
        yield head
        yield from head.children(recursive=True)
    except psutil.NoSuchProcess:
        return


def _running(stack: Stack) -> Iterator[tuple[str, int]]:
    for name in stack.supervisor.states:
        pid = stack.pid_of(name)
        if pid is not None:
            yield name, pid


def cpu_seconds(stack: Stack) -> dict[str, float]:
    """Return user and system seconds by part; those of descendants that have ended count for who waited for them."""
    spent = {}
    for name, pid in _running(stack):
        spent[name] = 0.0
        for process in _family(pid):
            try:
                spent[name] += sum(process.cpu_times()[:4])  # user, system, and both of ended children
            except psutil.NoSuchProcess:
                continue
    return spent


def memory_mib(stack: Stack) -> dict[str, float]:
    """Return the proportional set size by part, in MiB: shared pages count for each their share."""
    held = {}
    for name, pid in _running(stack):
        held[name] = 0.0
        for process in _family(pid):
            try:
                held[name] += process.memory_full_info().pss / MIB
            except psutil.NoSuchProcess:
                continue
    return {name: round(mib, 1) for name, mib in held.items()}


def spent_between(before: dict[str, float], after: dict[str, float], tasks: int) -> dict[str, float]:
    """Return CPU milliseconds per task by part, the dearest first."""
    spent = {name: round(1000 * (after[name] - before.get(name, 0.0)) / tasks, 2) for name in after}
    return dict(sorted(spent.items(), key=lambda item: -item[1]))


def machine_seconds() -> dict[str, float]:
    """Return the whole machine's seconds by state, summed over its cores."""
    times = psutil.cpu_times()._asdict()
    apart = {name: times.get(name, 0.0) for name in ("idle", "iowait", "steal")}
    return {"busy": sum(times.values()) - sum(apart.values()) - times.get("guest", 0.0), **apart}


def cores_between(before: dict[str, float], after: dict[str, float], ours: float, seconds: float) -> dict[str, float]:
    """Return how many cores were busy with us (`ours` CPU seconds) and with others, idle, waiting for disks, or taken away."""
    cores = {name: (after[name] - before[name]) / seconds for name in after}
    others = max(0.0, cores.pop("busy") - ours / seconds)
    return {name: round(value, 2) for name, value in {"ours": ours / seconds, "others": others, **cores}.items()}
