"""What each user of the topology may publish and subscribe to: NATS permissions, made from the same frozen data."""

from tierproof_contracts.topology import User, consumers_of, inbox_of


def _reading(stream: str, durable: str) -> tuple[str, ...]:
    return (
        f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{durable}",
        f"$JS.API.CONSUMER.INFO.{stream}.{durable}",
        f"$JS.ACK.{stream}.{durable}.>",
    )


def _own_durable(durable: str, heard: str) -> tuple[str, ...]:
    # Whole names: NATS has no wildcard for a part of a token, and whoever may create a durable of any name may change another's.
    return (f"$JS.API.CONSUMER.CREATE.RESULT.{durable}.{heard}", *_reading("RESULT", durable))


def allowed_to_publish(user: User) -> tuple[str, ...]:
    """Return the subjects that a user may publish to, the JetStream API calls it needs included."""
    if user.manages_streams:
        return ("$JS.API.>",)
    own = [pattern for consumer in consumers_of(user.name) for pattern in _reading(consumer.stream, consumer.durable)]
    direct = [
        pattern
        for stream in user.reads
        for pattern in (
            f"$JS.API.DIRECT.GET.{stream}",
            f"$JS.API.DIRECT.GET.{stream}.>",
            f"$JS.API.STREAM.MSG.GET.{stream}",
            f"$JS.API.STREAM.INFO.{stream}",
        )
    ]
    heard_again = [
        pattern
        for heard in user.subscribes
        for pattern in (
            f"$JS.API.DIRECT.GET.RESULT.{heard}",
            *(wish for name in user.durables for wish in _own_durable(f"{user.name}--{name}", heard)),
        )
    ]
    reread = [f"$JS.API.DIRECT.GET.TASK.{said}" for said in user.publishes if ".task.submitted." in said]
    return (*user.publishes, *own, *direct, *heard_again, *reread)


def allowed_to_subscribe(user: User) -> tuple[str, ...]:
    """Return the subjects that a user may subscribe to: its inbox, what it may hear, and the questions that it answers."""
    return (f"{inbox_of(user.name)}.>", *user.subscribes, *user.answers)
