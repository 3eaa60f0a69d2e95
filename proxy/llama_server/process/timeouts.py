"""How long things may take."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Timeouts:
    """Seconds."""

    wait: float = 600  # so long a request waits for a child that starts
    load: float = 1800  # a start that takes longer has failed
    token: float = 120  # the first token
    grace: float = 5  # from SIGTERM to SIGKILL
    kill: float = 5  # for what SIGKILL does not end at once
    failed: float = 30  # so long FAILED is answered without another try
    backoff: float = 1  # the first rest; each one after it is twice as long
    after_boot: float = 600  # so long after the machine's start its GPU may yet appear
    gpu_recheck: float = 30  # then it is looked for once more
    # For saving or giving back what it remembers: some gigabytes, for a large model.
    slot_files: float = 20


DEFAULT = Timeouts()
