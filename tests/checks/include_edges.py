#!/usr/bin/python3
"""Who may include whom: fails on an #include that goes against the table of docs/architecture.md.

The targets link only what they may, but a header alone needs no linking; hence this check.
"""

import re
import sys
from pathlib import Path

STORAGE = {"base", "os", "state"}
IMAGE = STORAGE | {"storage"}
ENGINE = IMAGE | {"image", "network", "runtime"}
# Folder of src/ -> folders of src/ it may include besides its own.
ALLOWED = {
    "base": set(),
    "os": {"base"},
    "state": {"base", "os"},
    "storage": STORAGE,
    "image": IMAGE,
    "network": STORAGE,
    "runtime": STORAGE,
    "engine": ENGINE,
    "wire": {"base"},
    "http": ENGINE | {"engine", "wire"},
    "csi": {"base", "storage"},
    "client": {"base", "wire"},
}
PROGRAMS = {
    "holdfast": {"base", "wire", "client"},
    "holdfastd": set(ALLOWED) - {"client"},
}
INCLUDE = re.compile(r'^\s*#\s*include\s*"([^"]+)"', re.MULTILINE)


def allowed_for(path):
    top, folder = path.parts[0], path.parts[1]
    if top == "cmd":
        return PROGRAMS.get(folder)
    if folder not in ALLOWED:
        return None
    return ALLOWED[folder] | {folder}


def violations(path):
    allowed = allowed_for(path)
    if allowed is None:
        yield f"{path}: no rule for this folder; add one to {Path(__file__).name}"
        return
    for included in INCLUDE.findall(path.read_text()):
        folder = included.split("/")[0]
        if "/" in included and (Path("src") / included).exists() and folder not in allowed:
            yield f"{path}: may not include {included}"


def main():
    files = [p for top in ("src", "cmd") for p in Path(top).rglob("*.[ch]*")]
    files = sorted(p for p in files if p.suffix in (".cc", ".h"))
    found = [line for path in files for line in violations(path)]
    print("\n".join(found), file=sys.stderr, end="\n" if found else "")
    if not found:
        print(f"include edges: {len(files)} files keep to the table")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
