"""Streams and consumers as the topology wants them. The one program that creates or changes any.

Plain API requests: nats-py's configuration classes lack fields of server 2.12 and later.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import structlog
from tierproof_contracts.topology import CONSUMERS, STREAMS, Consumer, Stream

from tierproof_bus.errors import Refused, WouldLose
from tierproof_bus.link import Link, connect
from tierproof_bus.settings import BusSettings
from tierproof_bus.streams import answer_of

_log = structlog.get_logger()
_SECOND = 10**9
DUPLICATE_WINDOW = 120
_STREAM_GONE, _CONSUMER_GONE = 10059, 10014
Change = Literal["created", "updated", "kept"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """Where the topology is laid out: `replicas` caps the streams' own (1 on one server); `ack_wait` in seconds, for tests."""

    replicas: int = 1
    ack_wait: float | None = None


def stream_config(stream: Stream, deployment: Deployment) -> dict[str, Any]:
    """Return a stream as JetStream's API writes it. Pure.

    A stream with schedules cannot discard new messages (server 2.15 refuses it, 10052): there the publisher's expectation of
    an empty subject alone keeps publications single. It also turns roll-ups on, so one user alone may write there.
    """
    once = stream.publish_once and not stream.schedules
    return {
        "name": stream.name,
        "subjects": list(stream.subjects),
        "retention": "limits",
        "storage": "file",
        "max_age": stream.max_age * _SECOND,
        "duplicate_window": DUPLICATE_WINDOW * _SECOND,
        "num_replicas": min(stream.replicas, deployment.replicas),
        "discard": "old" if stream.discard_old or stream.schedules else "new",
        "max_msgs_per_subject": 1 if once else -1,
        "discard_new_per_subject": once,
        "allow_direct": True,
        "allow_msg_schedules": stream.schedules,
        "allow_rollup_hdrs": stream.schedules,
        "deny_delete": stream.keep_for_ever,
        "deny_purge": stream.keep_for_ever,
    }


def consumer_config(consumer: Consumer, deployment: Deployment) -> dict[str, Any]:
    """Return a durable as JetStream's API writes it. Pure."""
    return {
        "durable_name": consumer.durable,
        "name": consumer.durable,
        "deliver_policy": "all",
        "ack_policy": "all" if consumer.acks_all else "explicit",
        "ack_wait": int((deployment.ack_wait or consumer.ack_wait) * _SECOND),
        "max_deliver": consumer.max_deliver,
        "max_ack_pending": consumer.max_ack_pending,
        "filter_subjects": list(consumer.filters),
    }


def difference(wanted: dict[str, Any], found: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Return what would change, as field: (found, wanted). An absent field is its zero value. Pure."""
    if "filter_subject" in found and "filter_subjects" not in found:
        found = {**found, "filter_subjects": [found["filter_subject"]]}
    zero: dict[type, Any] = {bool: False, int: 0, str: "", list: []}
    return {
        name: (found.get(name, zero[type(value)]), value)
        for name, value in wanted.items()
        if found.get(name, zero[type(value)]) != value
    }


def losses(changes: dict[str, tuple[Any, Any]]) -> list[str]:
    """Return which changes would lose stored messages, replay them, or weaken a promise. Pure."""
    lost = []
    for name, (found, wanted) in changes.items():
        match name:
            case "max_age" if wanted and (not found or wanted < found):
                lost.append("a shorter max_age deletes messages")
            case "subjects" | "filter_subjects" if set(found) - set(wanted):
                lost.append(f"{name} would no longer cover {', '.join(sorted(set(found) - set(wanted)))}")
            case "num_replicas" if wanted < found:
                lost.append("fewer replicas")
            case "max_msgs_per_subject" if wanted > 0 and (found < 1 or wanted < found):
                lost.append("max_msgs_per_subject would delete messages")
            case "retention" | "storage" | "deliver_policy" | "ack_policy" | "discard":
                lost.append(f"{name} cannot change from {found!r} to {wanted!r} without loss")
            case "deny_delete" | "deny_purge" | "discard_new_per_subject" if found and not wanted:
                lost.append(f"{name} would be taken back")
    return lost


class Provisioner:
    """Lays the topology out; needs the right to manage streams."""

    def __init__(self, link: Link, deployment: Deployment) -> None:
        self._link = link
        self._deployment = deployment

    async def provision(
        self, streams: Iterable[Stream] = STREAMS, consumers: Iterable[Consumer] = CONSUMERS
    ) -> dict[str, Change]:
        """Create what is missing and update what differs; return what was done by name.

        Raises WouldLose before anything changes when one change would lose messages, and Refused when the broker says no.
        """
        wanted: list[tuple[str, str, dict[str, Any], str | None]] = [
            (f"STREAM.INFO.{s.name}", s.name, stream_config(s, self._deployment), None) for s in streams
        ]
        wanted += [
            (f"CONSUMER.INFO.{c.stream}.{c.durable}", c.durable, consumer_config(c, self._deployment), c.stream)
            for c in consumers
        ]
        found = {name: await self._found(info) for info, name, _config, _stream in wanted}
        changes = {
            name: difference(config, before)
            for _info, name, config, _stream in wanted
            if (before := found[name]) is not None
        }
        lost = [f"{name}: {'; '.join(why)}" for name, change in changes.items() if (why := losses(change))]
        if lost:
            raise WouldLose(f"{' | '.join(lost)}. Change it by hand if that is meant")
        return {name: await self._lay(name, config, stream, found[name], changes) for _, name, config, stream in wanted}

    async def _found(self, info: str) -> dict[str, Any] | None:
        answer = answer_of(await self._link.ask(f"$JS.API.{info}", b""))
        if "error" in answer:
            if answer["error"].get("err_code") in (_STREAM_GONE, _CONSUMER_GONE):
                return None
            raise Refused(f"{info}: {answer['error'].get('description')}")
        config: dict[str, Any] = answer["config"]
        return config

    async def _lay(
        self,
        name: str,
        config: dict[str, Any],
        stream: str | None,
        before: dict[str, Any] | None,
        changes: dict[str, dict[str, tuple[Any, Any]]],
    ) -> Change:
        if before is not None and not changes[name]:
            return "kept"
        if stream is None:
            action = f"$JS.API.STREAM.{'CREATE' if before is None else 'UPDATE'}.{name}"
            request: dict[str, Any] = config
        else:
            action = f"$JS.API.CONSUMER.CREATE.{stream}.{name}"
            request = {"stream_name": stream, "config": config, "action": "create" if before is None else "update"}
        answer = answer_of(await self._link.ask(action, json.dumps(request).encode()))
        if "error" in answer:
            raise Refused(f"{name}: {answer['error'].get('description')} (code {answer['error'].get('err_code')})")
        done: Change = "created" if before is None else "updated"
        _log.info("provisioned", name=name, change=done, fields=sorted(changes.get(name, {})))
        return done


async def provision(settings: BusSettings, deployment: Deployment) -> dict[str, Change]:
    """Connect as the provisioner and lay the topology out; raises what Provisioner.provision raises."""
    link = Link("provisioner", settings)
    client = await connect(link, settings)
    try:
        return await Provisioner(link, deployment).provision()
    finally:
        await client.close()
