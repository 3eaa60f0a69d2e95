"""Timeouts of a managed process."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Timeouts:
    """All in seconds."""

    wait: float = 600  # how long a request waits for a starting process
    load: float = 1800  # a start that takes longer has failed
    token: float = 120  # for the first token
    grace: float = 5  # from SIGTERM to SIGKILL
    kill: float = 5  # after SIGKILL
    failed: float = 30  # between attempts in FAILED
    backoff: float = 1  # the first backoff; each one doubles
    after_boot: float = 600  # after boot, while the GPU may still appear
    gpu_recheck: float = 30  # until the GPU is checked again
    # For saving or restoring slots, which hold gigabytes for a large model.
    slot_files: float = 20


DEFAULT = Timeouts()
