"""What the documentation shows exists: every snippet is a part of a test, every link leads somewhere."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs").rglob("*.md"))
LINKED = PAGES + [ROOT / "README.md", ROOT / "ARCHITECTURE.md", ROOT / "ACCURACY.md", *sorted(ROOT.glob("*/README.md"))]
LINKED += [ROOT / "bindings/python/README.md", ROOT / "tests/peers/README.md"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_snippets_are_parts_of_tests(page):
    for path, anchor in re.findall(r"\{\{#include ([^:}]+):(\w+)\}\}", page.read_text()):
        source = (page.parent / path).resolve()
        assert source.is_file(), f"{page.name} shows {path}, which is not there"
        text = source.read_text()
        shown = re.search(rf"ANCHOR: {anchor}\n(.*?)\n[^\n]*ANCHOR_END: {anchor}\b", text, re.S)
        assert shown and shown[1].strip(), f"{path} has no snippet {anchor!r}"


@pytest.mark.parametrize("page", LINKED, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.S)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in target or target.startswith("#"):
            continue
        path, _, anchor = target.partition("#")
        linked = (page.parent / path).resolve()
        assert linked.exists(), f"{page.name} links to {target}, which is not there"
        if anchor and linked.suffix == ".md":
            headings = re.findall(r"^#+ (.+)$", linked.read_text(), re.M)
            anchors = {re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings}
            assert anchor in anchors, f"{page.name} links to {target}, but {linked.name} has no such heading"


def test_every_page_is_in_the_summary():
    summary = (ROOT / "docs" / "SUMMARY.md").read_text()
    listed = {(ROOT / "docs" / path).resolve() for path in re.findall(r"\(([^)]+)\)", summary)}
    assert listed == {page.resolve() for page in PAGES if page.name != "SUMMARY.md"}


def test_the_version_is_that_of_the_workspace():
    version = re.search(r'^version = "(.+)"$', (ROOT / "Cargo.toml").read_text(), re.M)[1]
    assert f"<version>{version}</version>" in (ROOT / "android/pom.xml").read_text().split("<dependencies>")[0]
    for page in ["android/README.md", "docs/guide.md"]:
        assert f"pocketlens-android:{version}" in (ROOT / page).read_text(), f"{page} names another version"
    assert re.search(rf"^## {re.escape(version)}$", (ROOT / "CHANGELOG.md").read_text(), re.M)
