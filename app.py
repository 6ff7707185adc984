"""The product's front door.

``create_app()`` is what a WSGI server loads (``gunicorn "app:create_app()"``). Run as a program, this file starts the whole product on one
machine: web server, workers, scheduler, embedded Valkey and the practice marketplace and store, each restarted when it dies.
"""

from __future__ import annotations

import os
import sys

from connector import create_app
from connector.config import Config, ConfigError

__all__ = ["create_app"]


def main() -> int:
    from connector.supervisor import tree, valkey

    try:
        config = Config.from_env()
        practice = os.environ.get("CONNECTOR_PRACTICE", "1") not in ("0", "false", "no")
        return tree.Tree(config, workers=int(os.environ.get("CONNECTOR_WORKERS", "2")), practice=practice).run()
    except (ConfigError, tree.CannotStart, valkey.ValkeyMissing, TimeoutError) as error:
        print(f"Not started. {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
