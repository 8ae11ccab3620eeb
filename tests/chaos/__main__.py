"""`python tests/chaos SECONDS [SEED]`: the storm, and whether the platform came through it."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from chaos import run  # noqa: E402

if __name__ == "__main__":
    sys.exit(run.main(*sys.argv[1:]))
