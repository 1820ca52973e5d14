"""What a release is made of: a bill of materials (CycloneDX 1.5), and whether sizes and licences are the recorded ones.

    python3 .ci/materials.py --out target/release-0.1.0 --version 0.1.0 --recorded .ci/release.json [--record]

An artefact that is larger than recorded by more than a hundredth, and a licence that nobody has looked at, are errors.
"""

import argparse
import json
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SHIPPED = ["pocketlens-cli", "pocketlens-uniffi"]
LARGER = 1.01


def packages() -> list[dict]:
    """What the shipped programs and libraries are linked of, without what is used to build and test them."""
    command = ["cargo", "metadata", "--format-version", "1", "--locked", "--all-features"]
    metadata = json.loads(subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout)
    by_id = {package["id"]: package for package in metadata["packages"]}
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    pending = [id for id, package in by_id.items() if package["name"] in SHIPPED]
    found = set()
    while pending:
        id = pending.pop()
        if id in found:
            continue
        found.add(id)
        for dependency in nodes[id]["deps"]:
            if any(kind["kind"] is None for kind in dependency["dep_kinds"]):
                pending.append(dependency["pkg"])
    return sorted((by_id[id] for id in found), key=lambda package: (package["name"], package["version"]))


def bill(found: list[dict], version: str) -> dict:
    components = []
    for package in found:
        component = {
            "type": "library",
            "name": package["name"],
            "version": package["version"],
            "purl": f"pkg:cargo/{package['name']}@{package['version']}",
            "licenses": [{"expression": expression(package)}],
        }
        components.append(component)
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": {"type": "library", "name": "pocketlens", "version": version}},
        "components": components,
    }


def expression(package: dict) -> str:
    """The licence as SPDX writes it: a slash is an old "or"."""
    return (package["license"] or "NOASSERTION").replace("/", " OR ").replace("  ", " ")


def generic(name: str, version: str) -> str:
    """An artefact's name in the record, which outlives versions."""
    return name.replace(version, "VERSION")


def compare(found: dict, recorded: dict) -> list[str]:
    faults = []
    for name, size in found["bytes"].items():
        known = recorded["bytes"].get(name)
        if known is None:
            faults.append(f"{name}: not recorded")
        elif size > known * LARGER:
            faults.append(f"{name}: {size} bytes, {known} recorded")
    faults += [f"{name}: recorded, and missing" for name in recorded["bytes"] if name not in found["bytes"]]
    faults += [f"licence {licence}: nobody has looked at it" for licence in found["licences"] if licence not in recorded["licences"]]
    return faults


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--version", required=True)
    parser.add_argument("--recorded", type=Path, required=True)
    parser.add_argument("--record", action="store_true")
    arguments = parser.parse_args()
    sizes = {generic(file.name, arguments.version): file.stat().st_size for file in sorted(arguments.out.iterdir())}
    materials = packages()
    text = json.dumps(bill(materials, arguments.version), indent=1) + "\n"
    (arguments.out / f"pocketlens-{arguments.version}.cdx.json").write_text(text)
    found = {"bytes": sizes, "licences": sorted({expression(package) for package in materials})}
    if arguments.record:
        arguments.recorded.write_text(json.dumps(found, indent=1) + "\n")
    faults = compare(found, json.loads(arguments.recorded.read_text()))
    print(f"{len(materials)} packages, {len(found['licences'])} licences")
    if faults:
        raise SystemExit("\n".join(f"release: {fault}" for fault in faults) + "\nrelease: look, then .ci/release --record")


if __name__ == "__main__":
    main()
