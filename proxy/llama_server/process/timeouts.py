"""Timeouts of a managed process."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Timeouts:
    """Timeouts of a managed process, in seconds."""

    wait: float = 600  # how long a request waits for its model
    load: float = 1800  # a start that takes longer has failed
    token: float = 120  # limit for the first token
    grace: float = 5  # from SIGTERM to SIGKILL
    kill: float = 5  # how long to wait for the exit after SIGKILL
    failed: float = 30  # pause before a new attempt in state FAILED
    backoff: float = 1  # first pause before a restart; it doubles each time
    after_boot: float = 600  # time since boot during which a GPU may still appear
    gpu_recheck: float = 30  # delay before the GPU is checked again
    # For saving or restoring slots, which hold gigabytes for a large model.
    slot_files: float = 20


DEFAULT = Timeouts()
