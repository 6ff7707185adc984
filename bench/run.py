"""Every benchmark, one after the other (ratios measured within one run), and the exactly-once drills."""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from typing import Any

MODULES = ("grids", "intake", "create", "products_import", "products_sync", "feed", "drill", "drill_aftersales")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object a line: name, value, unit, bound, holds")
    parser.add_argument("only", nargs="*", help=f"some of: {', '.join(MODULES)}")
    arguments = parser.parse_args()
    missed = 0
    for name in arguments.only or MODULES:
        results: list[dict[str, Any]] = importlib.import_module(f"bench.{name}").results()
        for result in results:
            missed += not result["holds"]
            if arguments.json:
                print(json.dumps(result), flush=True)
            else:
                print(
                    f"{'holds ' if result['holds'] else 'MISSED'}  {result['name']:<62} {result['value']:>9.3f} {result['unit']:<12} bound {result['bound']}",
                    flush=True,
                )
    return 1 if missed else 0


def result(name: str, value: float, unit: str, bound: str, holds: bool) -> dict[str, Any]:
    """One line of the report. ``bound`` is written as it is read: ``>= 0.9``."""
    return {"name": name, "value": round(value, 4), "unit": unit, "bound": bound, "holds": holds}


if __name__ == "__main__":
    sys.exit(main())
