"""A training environment without torch: says what it is when asked, and "trains" by writing what a training would."""

import sys
from pathlib import Path

_PROGRAM = """#!{python}
import hashlib, json, pathlib, sys
if sys.argv[1] == "-c":
    print(json.dumps({{"python": "3.11.7", "packages": {{"torch": "2.13.0"}}, "instruction_set": "AVX2", "cuda": None}}))
    sys.exit()
folder = pathlib.Path(sys.argv[-1])
with (folder / "runs").open("a") as runs:
    runs.write("run\\n")
(folder / "artifact").mkdir()
job = (folder / "job.json").read_bytes()
about = {{"x.lora_B.weight": {{"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}}}
header = json.dumps(about | {{"__metadata__": {{"job": hashlib.sha256(job).hexdigest()}}}}).encode()
weights = len(header).to_bytes(8, "little") + header + b"none"
if json.loads(job)["lock"]["name"] == "senseless":
    weights = b"no tensors at all"
(folder / "artifact" / "adapter_model.safetensors").write_bytes(weights)
told = [{{"at": 1.0, "step": step, "of": 2, "loss": 2.0 / step, "seconds": step, "cpu_seconds": step, "peak_mib": 1}} for step in (1, 2)]
(folder / "progress.jsonl").write_text("".join(json.dumps(line) + "\\n" for line in [{{"began": True}}, *told]))
files = {{"adapter_model.safetensors": "sha256:" + hashlib.sha256(weights).hexdigest()}}
(folder / "ended.json").write_text(json.dumps({{"ended": "completed", "steps": 2, "tokens": 9, "files": files}}))
"""


def stand_in(path: Path) -> Path:
    """Write the program that is taken for the Python of a training environment."""
    path.write_text(_PROGRAM.format(python=sys.executable))
    path.chmod(0o755)
    return path
