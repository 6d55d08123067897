"""Tests that the documentation matches the code, and that its links and index are complete."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from environments import load_environment
from lambdas.route_tables import SERVICES
from modules.api.errors import GATEWAY_ERRORS
from modules.deployment_identity import MAX_POLICY_LENGTH
from ops.root import PROJECT
from tests.documented_codes import documented_codes, raised_codes
from tools.policies import documents as policies
from tools.policies import documents_of as policies_of

LINK = re.compile(r"\[[^\]]*\]\((?!https?:|mailto:)([^)#\s]*)(?:#([^)\s]*))?\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"^```.*?^```|`[^`\n]+`", re.MULTILINE | re.DOTALL)
MAKE_TARGET = re.compile(r"\bmake ([a-z]+)\b")
DOCUMENTS = sorted([*PROJECT.glob("*.md"), *PROJECT.glob("docs/**/*.md")])
NAMES = [str(path.relative_to(PROJECT)) for path in DOCUMENTS]


def anchors(path: Path) -> set[str]:
    """Returns the anchors that GitHub derives from the headings of a document."""
    headings = HEADING.findall(FENCED.sub("", path.read_text()))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize(
    ("service", "pages"),
    [
        *((service, (service,)) for service in SERVICES if service not in {"chat", "health"}),
        ("chat", ("chat", "websocket")),
        *((folder, ()) for folder in ("common", "health")),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_api_pages_name_every_error_code(service: str, pages: tuple[str, ...]) -> None:
    raised = raised_codes(PROJECT / "lambdas" / service)
    assert raised or service == "profile", f"found no error codes in lambdas/{service}"
    assert raised <= documented_codes(*pages)


def test_the_api_pages_name_the_codes_of_gateway_responses() -> None:
    assert {error.code for error in GATEWAY_ERRORS.values()} <= documented_codes()


def test_the_policy_files_match_the_stack() -> None:
    stored = {file.name: file.read_text() for file in (PROJECT / "docs" / "policies").iterdir()}
    assert stored == policies(), "docs/policies is stale: run `python -m tools.policies`"
    for name, text in stored.items():
        assert len("".join(text.split())) <= MAX_POLICY_LENGTH, name


def test_an_environments_policies_contain_its_names_and_no_placeholders_or_names_of_dev() -> None:
    environment = load_environment("staging", variables={"STAGING_ACCOUNT_ID": "123456789012"})
    text = "".join(policies_of(environment).values())
    assert environment.domains
    assert "<" not in text
    assert "dev" not in re.findall(r"[a-z]+", text.replace("device", ""))
    for value in (
        environment.domains.api,
        environment.hosted_zone_id,
        environment.state.bucket,
        "123456789012",
    ):
        assert value
        assert value in text


@pytest.mark.parametrize("path", DOCUMENTS, ids=NAMES)
def test_links_and_anchors_exist(path: Path) -> None:
    broken = []
    text = re.sub(r"`[^`\n]*`", "code", FENCED.sub("", path.read_text()))
    for target, anchor in LINK.findall(text):
        file = (path.parent / target).resolve() if target else path
        if not file.exists() or (anchor and file.suffix == ".md" and anchor not in anchors(file)):
            broken.append(f"{target}#{anchor}" if anchor else target)
    assert broken == []


def test_the_readme_of_decisions_lists_every_record_and_each_number_occurs_once() -> None:
    folder = PROJECT / "docs" / "decisions"
    names = {file.name for file in folder.glob("0*.md")}
    listed = {target for target, _ in LINK.findall((folder / "README.md").read_text())}
    assert listed == names
    assert len({name[:4] for name in names}) == len(names)


@pytest.mark.parametrize("folder", ["api", "architecture", "operations"])
def test_the_index_lists_every_page_by_its_title(folder: str) -> None:
    index = (PROJECT / "docs" / "README.md").read_text()
    pages = {
        f"[{HEADING.findall(file.read_text())[0]}]({folder}/{file.name})"
        for file in (PROJECT / "docs" / folder).glob("*.md")
    }
    assert {page for page in pages if page not in index} == set()


def test_the_page_about_aws_lists_the_capabilities_that_are_off_in_local() -> None:
    page = (PROJECT / "docs" / "architecture" / "seen-on-aws.md").read_text()
    listed = set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE))
    capabilities = load_environment("local", variables={}).capabilities.model_dump()
    assert listed == {name for name, is_on in capabilities.items() if not is_on}


def test_the_make_targets_in_documents_exist() -> None:
    listing = subprocess.run(
        ["make", "help"], cwd=PROJECT, capture_output=True, text=True, check=True
    ).stdout
    texts = [path.read_text() for path in DOCUMENTS]
    named = {
        target
        for text in texts
        for code in CODE.findall(text)
        for target in MAKE_TARGET.findall(code)
    }
    assert named <= set(MAKE_TARGET.findall(listing))
