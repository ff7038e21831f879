"""Whose files are trusted."""

import os
from pathlib import Path


def is_trusted(owner: int, path: Path) -> bool:
    """Whether a file of this owner may act for the user of this process.

    The files of the user and of root may. Root may work in the home of another user, whose files
    are trusted there.

    Args:
        owner: number of the user that the open file belongs to.
        path: its name; root trusts the owner of the folder that it is in.
    """
    user = os.geteuid()
    return owner in (user, 0) or (user == 0 and owner == path.parent.stat().st_uid)
