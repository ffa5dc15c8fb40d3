"""``python -m gsc_daemon`` is ``gscd``."""

from gsc_daemon.cli import main

if __name__ == "__main__":
    main()
