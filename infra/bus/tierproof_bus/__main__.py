"""`python -m tierproof_bus provision`: lay the topology out on the broker of TIERPROOF_NATS_URL."""

import argparse
import asyncio
import sys

from tierproof_bus import logs
from tierproof_bus.errors import BusError
from tierproof_bus.provision import Deployment, provision
from tierproof_bus.settings import BusSettings


def main() -> int:
    """Run one command; 0 done, 1 refused."""
    parser = argparse.ArgumentParser(prog="python -m tierproof_bus", description=__doc__)
    parser.add_argument("command", choices=["provision"])
    parser.add_argument("--replicas", type=int, default=1, help="copies of each stream; 1 on a single server")
    chosen = parser.parse_args()
    settings = BusSettings()
    logs.configure(settings.log_level, service="provisioner")
    try:
        done = asyncio.run(provision(settings, Deployment(replicas=chosen.replicas)))
    except BusError as error:
        sys.stderr.write(f"{error.diagnosis()}\n")
        return 1
    for name, change in done.items():
        sys.stdout.write(f"{change:8} {name}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
