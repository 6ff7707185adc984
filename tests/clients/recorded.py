"""The recorded contract material under tests/contracts: signing vectors of TikTok Shop, exchanges of a real Magento 2.4.6."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent.parent / "contracts"
VECTORS: dict[str, Any] = json.loads((FOLDER / "tiktok-signing-vectors.json").read_text("utf-8"))


def capture(name: str) -> dict[str, Any]:
    exchange: dict[str, Any] = json.loads((FOLDER / "magento-captures" / f"{name}.json").read_text("utf-8"))
    return exchange
