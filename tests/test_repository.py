"""What a visitor of the repository finds: the checks that run by themselves, and the forms."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parent.parent
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
FORMS = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("[!c]*.yml"))


def loaded(path: Path) -> Any:
    """A file of YAML."""
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def test_every_push_runs_what_ci_runs() -> None:
    workflow = loaded(ROOT / ".github" / "workflows" / "test.yml")
    # YAML 1.1 reads the key `on` as true.
    assert {"push", "pull_request"} <= workflow[True].keys()
    steps = workflow["jobs"]["test"]["steps"]
    assert [step["run"].rpartition(" ")[2] for step in steps if "run" in step] == [".ci/run"]
    assert (ROOT / ".ci" / "run").stat().st_mode & 0o111
    assert workflow["permissions"] == {"contents": "read"}


def test_every_commit_may_be_checked() -> None:
    (repository,) = loaded(ROOT / ".pre-commit-config.yaml")["repos"]
    (hook,) = repository["hooks"]
    command, _, recipe = hook["entry"].partition(" ")
    assert (command, repository["repo"], hook["language"]) == ("make", "local", "system")
    assert re.search(rf"^{recipe}:", MAKEFILE, re.MULTILINE)


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.stem)
def test_a_form_asks_something(form: Path) -> None:
    asked = loaded(form)
    assert asked["name"] and asked["description"]
    fields = [field for field in asked["body"] if field["type"] != "markdown"]
    assert all(field["attributes"]["label"] for field in fields)
    assert len({field["id"] for field in fields}) == len(fields)
    assert any(field.get("validations", {}).get("required") for field in fields)


def test_there_are_forms() -> None:
    assert [form.stem for form in FORMS] == ["bug", "feature"]
