#!/usr/bin/env python
"""Django's command line.

In a checkout, what the environment leaves open comes from the local run (``make up``).
"""

import os
import sys
from importlib.util import find_spec
from pathlib import Path

#: What the Makefile calls. A checkout has it, an image of the service does not.
_LOCAL_RUN = Path(__file__).resolve().parent / "tools" / "local"


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    if _LOCAL_RUN.is_dir():
        if find_spec("django") is None:
            sys.exit("manage.py: this Python has no Django: make venv, then .venv/bin/python")
        from tools.local import checkout

        checkout.complete_environment(sys.argv[1:2])
    if sys.argv[1:2] in (["runserver"], ["testserver"]):
        from config import environment

        environment.serves_requests = True
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
