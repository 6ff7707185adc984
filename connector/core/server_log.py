"""The web server's own lines in the form of all others; gunicorn takes it as its ``logger_class``."""

from __future__ import annotations

import os
from typing import Any

from gunicorn.glogging import Logger

from connector.config import logs_json
from connector.core import logs


class ServerLog(Logger):  # type: ignore[misc]  # gunicorn has no types
    """gunicorn's first process, which starts and stops the others, loads no application and so no logs of ours."""

    def setup(self, cfg: Any) -> None:
        super().setup(cfg)
        for handler in self.error_log.handlers:
            handler.setFormatter(logs.formatter(json_lines=logs_json(os.environ)))
