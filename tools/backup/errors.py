"""Why a backup or a restore cannot be made."""

from __future__ import annotations

import errno


class BackupError(RuntimeError):
    """One line that says what is wrong and what to do."""


def told(error: OSError) -> str:
    """The line for what the operating system refused."""
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return f"the disk is full ({error.filename or 'while writing'}): make room and try again"
    return f"{error.filename or 'the operating system'}: {error.strerror or error}"
