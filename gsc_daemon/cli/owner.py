"""The command line, as whom it works: root becomes the owner of the ledger's folder, and leaves no file as root's."""

from __future__ import annotations

import os
import pwd

from gsc_daemon.errors import ConfigError, NotPermitted
from gsc_daemon.settings import Settings


def operator() -> str:
    """Who asks, for the history: the name before `sudo`, else this user's. To be called before `become_owner`."""
    return os.environ.get("SUDO_USER") or user_name(os.getuid())


def become_owner(settings: Settings) -> None:
    """Give up root for the user that the ledger's folder belongs to; others must be able to write there.

    Raises:
        ConfigError: there is no such folder. NotPermitted: this user may not work with this ledger.
    """
    folder = settings.ledger.path.parent
    try:
        status = folder.stat()
    except FileNotFoundError as error:
        hint = "Make it, owned by the daemon's user; systemd's StateDirectory= does that for /var/lib/gscd"
        raise ConfigError(f"there is no folder {folder} for the ledger", hint=hint) from error
    except PermissionError as error:
        raise NotPermitted(f"{user_name(os.geteuid())} may not look into {folder}", hint="Run this as root") from error
    if os.geteuid() == 0:
        _become(status.st_uid, status.st_gid)
    elif not os.access(folder, os.R_OK | os.W_OK | os.X_OK, effective_ids=os.access in os.supports_effective_ids):
        owner = user_name(status.st_uid)
        raise NotPermitted(
            f"{user_name(os.geteuid())} may not write in {folder}, which belongs to {owner}",
            hint=f"Run this as root, as {owner}, or as a member of a group that may",
        )


def _become(uid: int, gid: int) -> None:
    if uid == 0:
        return
    try:
        user = pwd.getpwuid(uid)
    except KeyError:  # a number without a name
        groups, home = [gid], "/"
    else:
        gid, home = user.pw_gid, user.pw_dir
        groups = os.getgrouplist(user.pw_name, gid)
    try:
        os.setgroups(groups)
        os.setgid(gid)
        os.setuid(uid)
    except PermissionError as error:  # root of a container that may not
        raise NotPermitted(
            f"root may not become {user_name(uid)} here", hint=f"Run this as {user_name(uid)}"
        ) from error
    os.environ["HOME"] = home  # where ~/.pgpass is looked for


def user_name(uid: int) -> str:
    """The name of a user, or its number in words."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"
