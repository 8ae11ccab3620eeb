"""`python tests/chaos SECONDS [SEED]`: the storm, and whether the platform came through it."""

import pathlib
import signal
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from chaos import run  # noqa: E402

if __name__ == "__main__":
    # Stopped early it cleans up too, also where it was started in the background, which ignores an interrupt.
    for stop in (signal.SIGINT, signal.SIGTERM):
        signal.signal(stop, lambda number, _: sys.exit(128 + number))
    sys.exit(run.main(*sys.argv[1:]))
