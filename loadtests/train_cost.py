"""What does a locked training cost above a bare TRL script with the same settings? CPU seconds of whole runs, in turns.

`python loadtests/train_cost.py --job FOLDER --python TRAINING_PYTHON`: FOLDER is a job of `tierproof train run`, whose records,
base and settings the bare script takes.
Both run in fresh processes on one thread; the difference of medians is the price of progress, watching and order.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import tempfile
from pathlib import Path

SERVICE = Path(__file__).resolve().parents[1] / "services" / "trainer"
MOST_ABOVE = 0.10
STEADY = {
    "MALLOC_MMAP_THRESHOLD_": str(32 * 2**20),
    "MALLOC_TRIM_THRESHOLD_": str(16 * 2**30),
    "MALLOC_TOP_PAD_": str(64 * 2**20),
}
BARE = """
import json, sys, torch
from datasets import Dataset
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import SFTConfig, SFTTrainer
job, base, into = json.load(open(sys.argv[1])), sys.argv[2], sys.argv[3]
lock, asked, lora = job["lock"], job["lock"]["hyperparameters"], job["lock"]["lora"]
torch.set_num_threads(1)
torch.manual_seed(1)
model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32, attn_implementation="sdpa")
tokenizer = AutoTokenizer.from_pretrained(base)
rows = [json.loads(line) for line in open(job["records"])]
said = lambda who, text: [{"role": who, "content": text}]
data = Dataset.from_list([{"prompt": said("user", r["prompt"]), "completion": said("assistant", r["completion"])} for r in rows])
shape = LoraConfig(r=lora["rank"], lora_alpha=lora["alpha"], target_modules=lora["targets"], task_type="CAUSAL_LM")
settings = SFTConfig(
    output_dir=into, per_device_train_batch_size=asked["batch"], max_steps=asked["steps"], learning_rate=float(asked["learning_rate"]),
    bf16=asked["precision"] == "bf16", use_cpu=True, gradient_checkpointing=False, report_to=[], disable_tqdm=True,
    save_strategy="no", max_length=asked["longest_tokens"], train_sampling_strategy="sequential",
)
trainer = SFTTrainer(model=get_peft_model(model, shape), args=settings, train_dataset=data, processing_class=tokenizer)
trainer.train()
trainer.save_model(into)
"""


def cpu_seconds(argv: list[str], environment: dict[str, str]) -> float:
    """Run a process to its end and return the CPU seconds that it took; raises CalledProcessError."""
    before = os.times()
    subprocess.run(argv, check=True, capture_output=True, env={**os.environ, **STEADY, **environment})
    after = os.times()
    return (after.children_user - before.children_user) + (after.children_system - before.children_system)


def ours(python: str, job: Path, scratch: Path) -> float:
    """Train the job in a fresh folder."""
    folder = scratch / "ours"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    shutil.copyfile(job / "job.json", folder / "job.json")
    return cpu_seconds(
        [python, "-m", "tierproof_trainer.stages", str(folder)], {"PYTHONPATH": str(SERVICE), "OMP_NUM_THREADS": "1"}
    )


def bare(python: str, job: Path, scratch: Path) -> float:
    """Train the same with TRL alone."""
    said = json.loads((job / "job.json").read_text())
    base = next(Path(said["bases"]).glob("*-fp32-1"))
    argv = [python, "-c", BARE, str(job / "job.json"), str(base), str(scratch / "bare")]
    return cpu_seconds(argv, {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"})


def main() -> None:
    """Measure in turns, print and write the result."""
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--job", type=Path, required=True)
    words.add_argument("--python", required=True)
    words.add_argument("--runs", type=int, default=3)
    words.add_argument("--to", type=Path, default=Path(__file__).parent / "results" / "train_cost.json")
    given = words.parse_args()
    found: dict[str, list[float]] = {"locked": [], "bare": []}
    with tempfile.TemporaryDirectory() as scratch:
        for _ in range(given.runs):
            found["locked"].append(ours(given.python, given.job, Path(scratch)))
            found["bare"].append(bare(given.python, given.job, Path(scratch)))
    above = statistics.median(found["locked"]) / statistics.median(found["bare"]) - 1
    result = {"cpu_seconds": found, "above": round(above, 4), "most_above": MOST_ABOVE, "holds": above <= MOST_ABOVE}
    given.to.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
