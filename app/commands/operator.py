"""Who gives a command, for the audit trail."""

import getpass


def operator_name() -> str:
    """Return the login name of the user who runs this process."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"
