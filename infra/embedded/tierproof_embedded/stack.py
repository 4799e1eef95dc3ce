"""The whole stack: what it consists of, prepared in one folder, and run for as long as a block lasts.

```python
async with running_stack(EmbeddedSettings(home=folder)) as stack:
    ...  # stack.nats_url, stack.seed_file("app-demo"), stack.trust
```
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tierproof_bus.errors import BusError
from tierproof_bus.provision import Deployment
from tierproof_bus.settings import BusSettings

from tierproof_embedded import endpoints as places
from tierproof_embedded import keys, ledger, log_keys, servers, training, tsa, witness
from tierproof_embedded.authority import establish
from tierproof_embedded.endpoints import Endpoints
from tierproof_embedded.errors import NoSuchPart, StepFailed
from tierproof_embedded.first_steps import lay_out
from tierproof_embedded.layout import Layout
from tierproof_embedded.model_server import local_pins, model_parts, worker_environment
from tierproof_embedded.notice import Notice
from tierproof_embedded.plan import with_needs
from tierproof_embedded.running import all_ready, fallen, supervised
from tierproof_embedded.services import Service, service_part, step_part
from tierproof_embedded.settings import EmbeddedSettings
from tierproof_embedded.supervisor import Part, Supervisor

FIRST_STEPS = "first-steps"


def _silent(_message: str) -> None:
    """Nobody wants to hear how preparation advances."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A state folder that is ready to run: its parts, where they will be, and what a person should know."""

    settings: EmbeddedSettings
    endpoints: Endpoints
    parts: tuple[Part, ...]
    notices: tuple[Notice, ...]

    @property
    def layout(self) -> Layout:
        """The folder's paths."""
        return self.settings.layout


class Stack:
    """A running stack."""

    def __init__(self, prepared: Prepared, supervisor: Supervisor) -> None:
        self.settings = prepared.settings
        self.layout = prepared.layout
        self.endpoints = prepared.endpoints
        self.notices = prepared.notices
        self.supervisor = supervisor

    @property
    def nats_url(self) -> str:
        """Where clients connect."""
        return self.endpoints.nats_url

    @property
    def owner_dsn(self) -> str:
        """The database as the one who may do everything."""
        return self.endpoints.owner_dsn

    @property
    def trust(self) -> Path:
        """The public keys that verify this stack's evidence."""
        return self.layout.trust

    def seed_file(self, user: str) -> Path:
        """Return the NKey seed file of a user: a service, `reviewer`, `auditor`, or `app-<tenant>`."""
        return keys.seed_file(self.layout.keys, user)

    def bus_settings(self, user: str) -> BusSettings:
        """Return settings with which `tierproof_bus.bus.Bus.connect` speaks as a user."""
        return bus_settings(self.layout, self.endpoints, user)

    def pid_of(self, part: str) -> int | None:
        """Return the process id of a part while it runs."""
        return self.supervisor.pid_of(part)

    async def failed(self, part: str, seconds: float) -> None:
        """Wait until the supervisor has seen a part fail since it was last calm; raises TimeoutError."""
        async with asyncio.timeout(seconds):
            await fallen(self.supervisor, part)

    async def ready(self, seconds: float) -> None:
        """Wait until every part is ready (again); raises TimeoutError."""
        async with asyncio.timeout(seconds):
            await all_ready(self.supervisor)


def bus_settings(layout: Layout, endpoints: Endpoints, user: str) -> BusSettings:
    """Return the bus settings of one user of this stack."""
    return BusSettings(
        nats_url=endpoints.nats_url,
        nkey_seed_file=keys.seed_file(layout.keys, user),
        monitoring_url=endpoints.monitoring_url,
        trust_file=layout.trust,
        http_port=None,
    )


def services_of(settings: EmbeddedSettings, endpoints: Endpoints, model_ready: tuple[str, ...]) -> tuple[Service, ...]:
    """Return the services of a stack: router, a worker per tier, verifier, evidence ledger; where it trains, curator and trainer."""
    base = (FIRST_STEPS,)
    return (
        Service(name="router", module="tierproof_router", needs=base),
        *(
            Service(
                name=f"inference-worker-{tier}",
                module="tierproof_inference_worker",
                needs=(*base, *model_ready),
                environment=worker_environment(settings.layout, endpoints, tier, settings),
            )
            for tier in settings.tiers
        ),
        Service(name="verifier", module="tierproof_verifier", needs=base),
        Service(
            name="evidence-ledger",
            module="tierproof_evidence_ledger",
            needs=(*base, ledger.MIGRATION, witness.WITNESS),
            environment=ledger.environment(settings.layout)
            | tsa.ledger_environment(settings.layout, settings, endpoints),
        ),
        *training.services(settings.layout, settings, base),
    )


def prepare(settings: EmbeddedSettings, progress: Callable[[str], None] = _silent) -> Prepared:
    """Create what must exist before anything starts: folders, ports, keys, signed documents. Raises EmbeddedError."""
    layout = settings.layout
    layout.prepare()
    endpoints = places.choose(layout, settings, _names(settings))
    for user in servers.users(settings.tenants):
        keys.user_keys(layout.keys, [user.name])
    notices = establish(layout, settings, lambda: local_pins(layout, settings, progress))
    witness.write_policy(layout, endpoints)
    parts = [*_servers(settings, endpoints), *_steps(settings, endpoints)]
    parts += [witness.witness_part(layout, settings, endpoints)]
    parts += tsa.tsa_parts(layout, settings, endpoints)
    models = model_parts(layout, settings, endpoints)
    services = services_of(settings, endpoints, tuple(part.name for part in models))
    parts += models
    parts += [_service_part(service, layout, settings, endpoints) for service in services]
    if log_keys.to_learn(layout, settings.log_name):
        parts.append(
            step_part(
                log_keys.LOG_KEYS, ("tierproof_embedded", log_keys.LOG_KEYS), _home(layout), needs=("evidence-ledger",)
            )
        )
    return Prepared(settings=settings, endpoints=endpoints, parts=_chosen(parts, settings.only), notices=tuple(notices))


def _names(settings: EmbeddedSettings) -> tuple[str, ...]:
    trains = training.NAMES if settings.training else ()
    return ("router", *(f"inference-worker-{tier}" for tier in settings.tiers), "verifier", "evidence-ledger", *trains)


def _chosen(parts: list[Part], only: tuple[str, ...]) -> tuple[Part, ...]:
    if not only:
        return tuple(parts)
    needs = {part.name: part.needs for part in parts}
    unknown = [name for name in only if name not in needs]
    if unknown:
        raise NoSuchPart(part=unknown[0], known=tuple(needs))
    chosen = with_needs(needs, only)
    return tuple(part for part in parts if part.name in chosen)


def _servers(settings: EmbeddedSettings, endpoints: Endpoints) -> list[Part]:
    layout, parts = settings.layout, []
    if settings.nats_url is None:
        parts.append(servers.broker_part(servers.broker_of(layout, settings, endpoints.ports)))
    if settings.pg_dsn is None:
        parts.append(servers.database_part(servers.cluster_of(layout, settings, endpoints.ports)))
    return parts


def _steps(settings: EmbeddedSettings, endpoints: Endpoints) -> list[Part]:
    environment = {
        **_home(settings.layout),
        "TIERPROOF_NATS_URL": endpoints.nats_url,
        "TIERPROOF_REPLICAS": str(settings.replicas),
    }
    if settings.ack_wait is not None:
        environment["TIERPROOF_ACK_WAIT"] = str(settings.ack_wait)
    first = step_part(FIRST_STEPS, ("tierproof_embedded", FIRST_STEPS), environment, needs=("nats",))
    return [first, ledger.migration_part(settings, endpoints)]


def _home(layout: Layout) -> dict[str, str]:
    return {"TIERPROOF_HOME": str(layout.home)}


def _service_part(service: Service, layout: Layout, settings: EmbeddedSettings, endpoints: Endpoints) -> Part:
    common = {"TIERPROOF_NATS_URL": endpoints.nats_url, "TIERPROOF_TRUST_FILE": str(layout.trust)}
    if endpoints.monitoring_url is not None:
        common["TIERPROOF_MONITORING_URL"] = endpoints.monitoring_url
    return service_part(
        service,
        common,
        seed=keys.seed_file(layout.keys, service.name),
        port=endpoints.ports[service.name],
        grace=settings.service_grace,
    )


def supervisor_for(
    settings: EmbeddedSettings, progress: Callable[[str], None] = _silent
) -> tuple[Supervisor, tuple[Notice, ...]]:
    """Prepare a state folder and return the supervisor of its parts, not running yet, with what a person should know."""
    prepared = prepare(settings, progress)
    return Supervisor(prepared.parts, prepared.layout, settings.tuning), prepared.notices


@asynccontextmanager
async def running_stack(settings: EmbeddedSettings, progress: Callable[[str], None] = _silent) -> AsyncIterator[Stack]:
    """Run a whole stack until the block ends; `progress` hears what the preparation does.

    Raises EmbeddedError when the stack cannot be prepared or does not become ready.
    """
    prepared = await asyncio.to_thread(prepare, settings, progress)
    async with supervised(prepared.parts, prepared.layout, settings.tuning, settings.start_patience) as supervisor:
        yield Stack(prepared, supervisor)


def learn_log_keys(settings: EmbeddedSettings) -> None:
    """Have the trust file learn since when the log's newest key signs; raises StepFailed."""
    auditor_dsn = (settings.layout.keys / ledger.DSN_FILES["auditor"]).read_text().strip()
    log_keys.learn(settings.layout, settings.log_name, auditor_dsn, settings.part_patience)


def run_first_steps(settings: EmbeddedSettings) -> None:
    """Lay the topology out and put the prepared documents in force; raises StepFailed and NotInForce."""
    layout = settings.layout
    rows = json.loads((layout.documents / "in-force.json").read_text())
    documents = [(row["name"], row["digest"], layout.documents / row["file"]) for row in rows]
    bus = BusSettings(trust_file=layout.trust)
    deployment = Deployment(replicas=settings.replicas, ack_wait=settings.ack_wait)
    try:
        asyncio.run(lay_out(layout, bus, documents, deployment))
    except BusError as error:
        raise StepFailed(step="laying out the broker", said=error.diagnosis()) from error
