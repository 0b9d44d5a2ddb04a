"""What is pinned, and what must never be committed."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
PINS = (ROOT / "constraints.txt").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())

# Put together from parts, so that this file does not name them either.
REGISTRY_HOSTS = [
    ".".join(parts)
    for parts in [
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("npmjs", "org"),
        ("npmjs", "com"),
        ("yarnpkg", "com"),
        ("anaconda", "org"),
        ("maven", "org"),
        ("jfrog", "io"),
    ]
]

# A home folder or a working folder of one machine. Container images have fixed ones of their own.
MACHINE_PATH = re.compile(r"(?<![\w.\-/])/(?:home|Users|root|work)/(?!airflow/)[\w.\-]+")


def pins() -> dict[str, tuple[str, int]]:
    """The version and the number of hashes of every package that constraints.txt pins."""
    found = {}
    for block in re.split(r"\n(?=\S)", PINS.strip()):
        name, version = re.match(r"([\w.\-]+)==([\w.!+]+)", block).groups()
        found[canonicalize_name(name)] = (
            version,
            len(re.findall(r"--hash=sha256:[0-9a-f]{64}", block)),
        )
    return found


def requirements() -> list[Requirement]:
    """Every requirement that pyproject.toml names, for whatever purpose."""
    project = PROJECT["project"]
    lists = [
        PROJECT["build-system"]["requires"],
        project["dependencies"],
        *project["optional-dependencies"].values(),
        *PROJECT["dependency-groups"].values(),
    ]
    return [Requirement(line) for lines in lists for line in lines if isinstance(line, str)]


def tracked() -> list[Path]:
    """The files that git tracks."""
    # A CI machine may own the clone under another name than it runs under.
    git = ["git", "-c", "safe.directory=*", "-C", str(ROOT), "ls-files", "-z"]
    try:
        listing = subprocess.run(git, capture_output=True, text=True, check=True).stdout
    except (FileNotFoundError, subprocess.CalledProcessError):
        pytest.skip("not a git clone")
    files = [ROOT / name for name in listing.split("\0") if name]
    return [file for file in files if file.is_file()]


def lines(file: Path) -> list[str]:
    """The lines of a text file; none for a binary one."""
    content = file.read_bytes()
    return [] if b"\0" in content else content.decode(errors="replace").splitlines()


def offences(pattern: re.Pattern[str]) -> list[str]:
    """Where tracked files match the pattern."""
    return [
        f"{file.relative_to(ROOT)}:{number}: {found[0]}"
        for file in tracked()
        for number, line in enumerate(lines(file), 1)
        if (found := pattern.search(line))
    ]


@pytest.mark.parametrize("requirement", requirements(), ids=str)
def test_every_requirement_is_pinned_within_its_bounds(requirement):
    version, _ = pins()[canonicalize_name(requirement.name)]
    assert requirement.specifier.contains(version, prereleases=True), "run: make constraints"


def test_every_pin_has_a_hash():
    assert [name for name, (_, hashes) in pins().items() if not hashes] == []


def test_the_pins_say_nothing_about_where_packages_come_from():
    strange = [line for line in PINS.splitlines() if "://" in line or line.startswith(("-", "#"))]
    assert strange == []


def test_no_tracked_file_names_a_registry_host():
    assert offences(re.compile("|".join(map(re.escape, REGISTRY_HOSTS)), re.IGNORECASE)) == []


def test_no_lock_file_is_tracked():
    names = {"uv.lock", "poetry.lock", "pdm.lock", "pylock.toml", "package-lock.json", "yarn.lock"}
    assert [file for file in tracked() if file.name in names] == []


def test_no_tracked_file_contains_a_path_of_a_developers_machine():
    assert offences(MACHINE_PATH) == []


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("/".join(["", "home", "ann", "connector"]), True),
        ("see " + "/".join(["", "Users", "ann"]), True),
        ("'" + "/".join(["", "root", ".venv"]) + "'", True),
        ("/".join(["", "home", "airflow", "dags"]), False),
        ("https://example.com/home/page", False),
        ("/var/lib/connector", False),
    ],
)
def test_a_path_of_a_developers_machine_is_recognised(text, is_one):
    assert bool(MACHINE_PATH.search(text)) is is_one
