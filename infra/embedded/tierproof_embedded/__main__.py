"""Programs of the stack itself: `supervise` until told to stop, `first-steps` and `log-keys` once.

For containers: `nats-config` and `cluster-files`.
"""

import signal
import sys

from tierproof_embedded.cluster import cluster_config
from tierproof_embedded.cluster_files import write_cluster_files
from tierproof_embedded.errors import EmbeddedError
from tierproof_embedded.settings import EmbeddedSettings
from tierproof_embedded.stack import learn_log_keys, run_first_steps, supervisor_for


def main(arguments: list[str]) -> int:
    """Run one program; 0 done, 1 refused, 2 wrong usage."""
    try:
        match arguments:
            case ["supervise"]:
                supervisor, _notices = supervisor_for(EmbeddedSettings())
                for number in (signal.SIGTERM, signal.SIGINT):
                    signal.signal(number, lambda _number, _frame: supervisor.stop())
                supervisor.run()
            case ["first-steps"]:
                run_first_steps(EmbeddedSettings())
            case ["log-keys"]:
                learn_log_keys(EmbeddedSettings())
            case ["cluster-files"]:
                sys.stdout.writelines(f"{path}\n" for path in write_cluster_files(EmbeddedSettings()))
            case ["nats-config"]:
                sys.stdout.write(cluster_config())
            case _:
                sys.stderr.write(
                    "usage: python -m tierproof_embedded supervise | first-steps | log-keys | nats-config | cluster-files\n"
                )
                return 2
    except EmbeddedError as error:
        sys.stderr.write(f"{error.diagnosis()}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
