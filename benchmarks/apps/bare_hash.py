"""The ceiling of log-ins: Argon2 alone, with the service's defaults. It prints the number of hashes in a second."""

import sys
import time

from argon2 import PasswordHasher

from app.settings import Settings


def main(seconds: float) -> None:
    """Hash for so many seconds."""
    defaults = {name: field.default for name, field in Settings.model_fields.items()}
    hasher = PasswordHasher(
        time_cost=defaults["argon2_iterations"],
        memory_cost=defaults["argon2_memory_kib"],
        parallelism=defaults["argon2_parallelism"],
    )
    count, started_at = 0, time.monotonic()
    while time.monotonic() - started_at < seconds:
        hasher.hash("correct horse battery")
        count += 1
    print(count / (time.monotonic() - started_at))


if __name__ == "__main__":
    main(float(sys.argv[1]))
