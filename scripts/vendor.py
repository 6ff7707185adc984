"""Fetch the front-end files we ship: ``python scripts/vendor.py`` (needs npm), or ``--check`` to verify what is committed.

Every package is pinned to a version and to the SHA-256 of its npm tarball, so a changed upload is refused. The icons are cut to one
sprite of the ones named in ``ICONS``; a template that asks for another icon fails a test, and the cure is to add it here and run this.
"""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

STATIC = Path(__file__).resolve().parent.parent / "connector" / "static"
VENDOR = STATIC / "vendor"
SUMS = VENDOR / "SHA256SUMS"

#: npm package -> (version, SHA-256 of its tarball, {path in the package: file under static/vendor})
PACKAGES: dict[str, tuple[str, str, dict[str, str]]] = {
    "htmx.org": (
        "4.0.1",
        "5fba65616ca148a86d377e9771bcada7f35faee3558651feb929eea425e13b3c",
        {
            "dist/htmx.min.js": "htmx/htmx.min.js",
            "dist/ext/hx-sse.min.js": "htmx/hx-sse.min.js",
            "LICENSE": "htmx/LICENSE",
        },
    ),
    "@tabler/core": ("1.6.1", "d02d679e51f6c179b21f035e154c13cdcb2ae8b18579e56ea606408ba7fc7a87", {"dist/css/tabler.min.css": "tabler/tabler.min.css"}),
    "@tabler/icons": ("3.51.0", "b30108713d3fa60aee862c2a133225da8e0f309be0708fe2925763ff810c766c", {"LICENSE": "tabler-icons/LICENSE"}),
}

ICONS = """
adjustments alert-circle alert-triangle api arrow-back-up arrow-left arrow-right ban bell bolt bookmark box building-store bug calendar
chart-bar check checklist chevron-down chevron-left chevron-right chevron-up circle-check clipboard-check clock columns-3 copy
credit-card database device-desktop dots download edit external-link eye eye-off file-text file-upload filter flag heartbeat history home hourglass
info-circle key layout-list link list-details lock logout mail map-pin menu-2 message moon package password player-pause player-play
player-stop plug plus printer receipt receipt-refund refresh rotate scale search selector send settings shield-check shopping-cart sun tags
template tool trash truck truck-delivery truck-return unlink upload user users world x
""".split()  # noqa: SIM905


def fetch(name: str, version: str, folder: Path) -> Path:
    subprocess.run(["npm", "pack", "--silent", f"{name}@{version}"], cwd=folder, check=True, capture_output=True)
    return next(folder.glob("*.tgz"))


def symbol(name: str, svg: str) -> str:
    body = re.sub(r"^.*?<svg.*?>|</svg>\s*$|\n\s*", "", svg, flags=re.S)
    body = body.replace('<path stroke="none" d="M0 0h24v24H0z" fill="none" />', "")
    return f'<symbol id="{name}" viewBox="0 0 24 24">{body}</symbol>'


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def vendored() -> dict[str, str]:
    files = [path for path in VENDOR.rglob("*") if path.is_file() and path != SUMS] + [STATIC / "icons.svg"]
    return {path.relative_to(STATIC).as_posix(): digest(path) for path in sorted(files)}


def update() -> None:
    for name, (version, expected, files) in PACKAGES.items():
        with tempfile.TemporaryDirectory() as folder:
            tarball = fetch(name, version, Path(folder))
            if digest(tarball) != expected:
                sys.exit(f"{name}@{version} has SHA-256 {digest(tarball)}, expected {expected}: refused.")
            with tarfile.open(tarball) as archive:

                def read(path: str, archive: tarfile.TarFile = archive) -> bytes:
                    member = archive.extractfile(f"package/{path}")
                    if member is None:
                        sys.exit(f"{path} is not a file of the package.")
                    return member.read()

                for source, target in files.items():
                    path = VENDOR / target
                    path.parent.mkdir(parents=True, exist_ok=True)
                    # Source maps are not shipped, so the line that points at one would only make 404s.
                    path.write_bytes(re.sub(rb"\n?(//# |/\*# )sourceMappingURL=[^\n]*", b"", read(source)))
                if name == "@tabler/icons":
                    symbols = [symbol(icon, read(f"icons/outline/{icon}.svg").decode()) for icon in sorted(set(ICONS))]
                    head = (
                        '<svg xmlns="http://www.w3.org/2000/svg" fill="none" stroke="currentColor" stroke-width="2" '
                        'stroke-linecap="round" stroke-linejoin="round">'
                    )
                    (STATIC / "icons.svg").write_text("\n".join([head, *symbols, "</svg>\n"]))
    SUMS.write_text("".join(f"{sha}  {name}\n" for name, sha in vendored().items()))
    print(f"{len(vendored())} files under {STATIC}")


def check() -> None:
    expected = dict(reversed(line.split("  ", 1)) for line in SUMS.read_text().splitlines())
    actual = vendored()
    wrong = sorted(name for name in expected.keys() | actual.keys() if expected.get(name) != actual.get(name))
    if wrong:
        sys.exit("These vendored files are not what scripts/vendor.py wrote: " + ", ".join(wrong))
    print(f"{len(actual)} vendored files are as recorded")


if __name__ == "__main__":
    check() if "--check" in sys.argv[1:] else update()
