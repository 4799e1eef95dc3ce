"""What the parts in containers are told and what has their host names in it: `python -m tierproof_embedded cluster-files`.

Keys, passwords and the trust file are those of the state folder; here are URLs of the database per role, and what witness and ledger
know of each other. `compose.yaml` mounts them.
"""

from pathlib import Path

from tierproof_evidence_ledger.sealed import Vault
from tierproof_proofs.trust import Trust

from tierproof_embedded import keys, ledger, log_keys, witness
from tierproof_embedded.endpoints import DATABASE, with_role
from tierproof_embedded.errors import NotRunning
from tierproof_embedded.layout import PRIVATE_FOLDER, Layout
from tierproof_embedded.ports import write_whole
from tierproof_embedded.postgres import SUPERUSER
from tierproof_embedded.settings import EmbeddedSettings

FOLDER = "cluster"
DATABASE_HOST, WITNESS_URL = "postgres:5432", "http://witness:8470"
POLICY, LOGS = "witness-policy", "witness-logs"


def write_cluster_files(settings: EmbeddedSettings) -> list[Path]:
    """Write the files and return their paths; raises NotRunning where no stack has made its keys yet.

    Makes what the containers mount and only a running stack would make else: folders, passwords, the key of texts.
    """
    layout = settings.layout
    if not layout.trust.exists():
        raise NotRunning(home=layout.home)
    folder = layout.home / FOLDER
    for each in (folder, layout.mirror, layout.tsa, layout.witness):
        each.mkdir(exist_ok=True, mode=PRIVATE_FOLDER)
    Vault.at(layout.keys / ledger.TEXT_KEY)
    texts = _dsns(layout) | _acquaintance(layout)
    for name, text in texts.items():
        write_whole(folder / name, text)
    return [folder / name for name in texts]


def _dsns(layout: Layout) -> dict[str, str]:
    owner = f"postgresql://{SUPERUSER}:{keys.password(layout.keys, 'postgres')}@{DATABASE_HOST}/{DATABASE}"
    roles = {
        ledger.DSN_FILES[name]: with_role(owner, role, keys.password(layout.keys, role))
        for name, role in ledger.ROLES.items()
    }
    return {ledger.DSN_FILES["owner"]: owner} | roles


def _acquaintance(layout: Layout) -> dict[str, str]:
    trust = Trust.from_json(layout.trust.read_bytes())
    known = [*(each.key for each in trust.log_keys), *log_keys.to_learn(layout, trust.origin)]
    return {LOGS: "".join(f"{key}\n" for key in known), POLICY: witness.policy_text(trust, known, WITNESS_URL)}
