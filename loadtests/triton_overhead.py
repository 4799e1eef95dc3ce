"""What Triton, its Python backend, the tier and the wire cost over the same pipeline called directly, in tokens per second.

One run holds both; each pair measures both ways right after each other, in changing order. Every request has exactly 32 tokens.
`python loadtests/triton_overhead.py [--pairs 7]`
"""

import argparse
import asyncio
import json
import os
import platform
import statistics
import tempfile
import time
from collections.abc import AsyncIterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from tierproof_model_server.generation import Generation
from tierproof_model_server.launch import RunningServer, running_server
from tierproof_model_server.pipeline import Pipeline
from tierproof_model_server.prepare import prepare_base
from tierproof_model_server.settings import EngineSettings, ModelServerLayout
from tritonclient.grpc import InferInput
from tritonclient.grpc.aio import InferenceServerClient

TOKENS = 32
CONCURRENCIES = (1, 8)
ROUNDS = {1: 3, 8: 2}  # batches of one measurement
TARGET = 0.85
RESULT = Path(__file__).parent / "results" / "triton_overhead.json"
MODELS = Path(os.environ.get("TIERPROOF_HOME", ".tierproof")) / "models"


def prompt(number: int) -> str:
    """Return one of many different prompts of equal length."""
    return f"Describe the alarm number {number} of an infusion pump."


def direct(pipeline: Pipeline, concurrency: int) -> float:
    """Return tokens per second of the bare pipeline: add, step, read."""
    started, tokens = time.perf_counter(), 0
    for _ in range(ROUNDS[concurrency]):
        handles = []
        for number in range(concurrency):
            asked = Generation(prompt=prompt(number), most_tokens=TOKENS, least_tokens=TOKENS)
            handles.append(pipeline.add(number, pipeline.tokens(asked), asked))
        while pipeline.busy():
            pipeline.step()
        for handle in handles:
            while handle.can_read():
                tokens += sum(len(output.generated_ids) for output in handle.read().values())
    assert tokens == TOKENS * concurrency * ROUNDS[concurrency]
    return tokens / (time.perf_counter() - started)


async def served(client: InferenceServerClient, concurrency: int) -> tuple[float, list[float]]:
    """Return tokens per second through gRPC, tier and base, streamed; and the seconds of each answer."""
    started, tokens, seconds = time.perf_counter(), 0, []
    for _ in range(ROUNDS[concurrency]):
        answers = await asyncio.gather(*(one_answer(client, number) for number in range(concurrency)))
        tokens += sum(count for count, _ in answers)
        seconds += [took for _, took in answers]
    assert tokens == TOKENS * concurrency * ROUNDS[concurrency]
    return tokens / (time.perf_counter() - started), seconds


async def one_answer(client: InferenceServerClient, number: int) -> tuple[int, float]:
    """Ask once, streamed; return the count of tokens and the seconds."""
    started = time.perf_counter()
    values: dict[str, tuple[str, Any]] = {
        "text_input": ("BYTES", np.array([prompt(number).encode()], dtype=object)),
        "streaming": ("BOOL", np.array([True])),
        "sampling_param_max_tokens": ("INT32", np.array([TOKENS], dtype=np.int32)),
    }
    inputs = []
    for name, (kind, value) in values.items():
        made = InferInput(name, [1], kind)
        made.set_data_from_numpy(value)
        inputs.append(made)

    async def once() -> AsyncIterator[dict[str, Any]]:
        yield {"model_name": "tier_s", "inputs": inputs, "parameters": {"tierproof_min_tokens": TOKENS}}

    count = 0
    async for result, error in client.stream_infer(once()):
        if error is not None:
            raise error
        found = result.as_numpy("tierproof_output_tokens")
        count += 0 if found is None else int(found[0])
    return count, time.perf_counter() - started


async def measure(server: RunningServer, pipeline: Pipeline, pairs: int) -> dict[str, Any]:
    """Measure all pairs."""
    client = InferenceServerClient(server.grpc)
    report: dict[str, Any] = {}
    for concurrency in CONCURRENCIES:
        direct(pipeline, concurrency)
        await served(client, concurrency)  # warm both ways
        rows, seconds = [], []
        for pair in range(pairs):
            first = direct(pipeline, concurrency) if pair % 2 else None
            through, took = await served(client, concurrency)
            bare = first or direct(pipeline, concurrency)
            seconds += took
            rows.append({"direct": round(bare, 2), "triton": round(through, 2), "ratio": round(through / bare, 4)})
            print(concurrency, rows[-1])
        ratio = statistics.median(row["ratio"] for row in rows)
        best = round(max(row["triton"] for row in rows) / max(row["direct"] for row in rows), 4)
        report[str(concurrency)] = {
            "pairs": rows,
            "median_ratio": ratio,
            "ratio_of_the_best": best,  # both ways undisturbed by what else runs on the machine
            "within_15_percent": min(ratio, best) >= TARGET,
            "median_direct_tokens_per_second": statistics.median(row["direct"] for row in rows),
            "median_triton_tokens_per_second": statistics.median(row["triton"] for row in rows),
            "triton_answer_seconds_median": round(statistics.median(seconds), 3),
        }
    await client.close()
    return report


def machine() -> dict[str, Any]:
    """Describe where the numbers come from."""
    names = Path("/proc/cpuinfo")
    models = (
        [line for line in names.read_text().splitlines() if line.startswith("model name")] if names.exists() else []
    )
    return {
        "processor": models[0].partition(":")[2].strip() if models else platform.processor(),
        "cores": os.cpu_count(),
        "system": platform.system(),
        "python": platform.python_version(),
        "load_average_at_start": [round(value, 2) for value in os.getloadavg()],
        **{name: version(name) for name in ("openvino", "openvino-genai", "nvidia-pytriton", "tritonclient", "numpy")},
    }


def main() -> None:
    """Measure, write the result, print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=7)
    pairs = parser.parse_args().pairs
    described, settings = machine(), EngineSettings()
    base = prepare_base(MODELS / "base", progress=print)
    with tempfile.TemporaryDirectory() as scratch:
        home = Path(scratch)
        layout = ModelServerLayout(
            home=home / "server", adapters=home / "adapters", base=base.folder, settings=settings
        )
        with running_server(layout) as server:
            family = [server.process, *server.process.children(recursive=True)]
            idle = {
                (
                    member.cmdline()[1].split("/")[-3] if "stub" in member.name() else "tritonserver"
                ): member.memory_info().rss >> 20
                for member in family
            }
            pipeline = Pipeline(base=base.folder, scratch=home, settings=settings)
            report = asyncio.run(measure(server, pipeline, pairs))
            ready = server.ready_after_seconds
    whole = {
        "what": f"{TOKENS} forced tokens per answer, greedy, {settings.precision}; direct: bare pipeline; triton: gRPC, tier_s, tier_base",
        "machine": described,
        "ready_after_seconds": round(ready, 2),
        "idle_rss_megabytes": idle,
        "concurrency": report,
    }
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(whole, indent=1) + "\n")
    print(json.dumps({key: value["median_ratio"] for key, value in report.items()}))


if __name__ == "__main__":
    main()
