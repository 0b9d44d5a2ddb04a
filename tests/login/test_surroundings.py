"""Files that nobody can read, certificates that nobody trusts, and proxies that want a login."""

import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from connector.errors import SourceRefused, Unreachable
from tests.rigs.certificates import Authority
from tests.rigs.logins import Logins

from .account import Account
from .test_ways import keys, role_over_profile

ADDRESS = "127.0.0.1"
NOBODY = 65534


@contextmanager
def as_one_who_may_not_read_all() -> Iterator[None]:
    """Lets permissions hold for this process, also if it is root's."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(before)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that everybody may look into."""
    with tempfile.TemporaryDirectory() as made:
        Path(made).chmod(0o755)
        yield Path(made)


def closed(folder: Path) -> Path:
    file = folder / "config"
    file.write_text("[profile reader]\n")
    file.chmod(0)
    return file


def closed_folder(folder: Path) -> Path:
    inner = folder / "inner"
    inner.mkdir()
    (inner / "config").write_text("[profile reader]\n")
    inner.chmod(0)
    return inner / "config"


def dangling(folder: Path) -> Path:
    link = folder / "config"
    link.symlink_to(folder / "gone")
    return link


def circle(folder: Path) -> Path:
    link = folder / "config"
    link.symlink_to(link)
    return link


@pytest.mark.parametrize("variable", ["AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"])
@pytest.mark.parametrize(
    ("prepare", "says"),
    [
        (closed, "Permission denied"),
        (closed_folder, "Permission denied"),
        (dangling, "a broken link"),
        (circle, "Too many levels of symbolic links"),
    ],
)
def test_a_file_that_is_named_must_be_readable(
    account: Account,
    folder: Path,
    variable: str,
    prepare: Callable[[Path], Path],
    says: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    keys(account)
    file = prepare(folder)
    account.home.parent.chmod(0o755)
    with as_one_who_may_not_read_all(), pytest.raises(SourceRefused) as caught:
        # The folder of the test is not everybody's.
        account.source(monkeypatch, to=folder, **{variable: str(file)})
    assert f"{file} (from {variable})" in caught.value.message
    assert says in caught.value.message
    if prepare is closed_folder:
        file.parent.chmod(0o755)


def test_a_file_that_nobody_asks_for_may_be_unreadable(
    account: Account, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys(account)
    (folder / ".aws").mkdir()
    (folder / ".aws").chmod(0)
    with as_one_who_may_not_read_all():
        source = account.source(monkeypatch, to=folder, HOME=str(folder))
    source.describe()
    assert account.rig.calls.count("DescribeTable") == 1
    (folder / ".aws").chmod(0o755)


@pytest.mark.parametrize("variable", ["AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"])
@pytest.mark.parametrize("value", ["", "/dev/null"])
def test_a_variable_may_name_no_file(
    account: Account, variable: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys(account)
    monkeypatch.setenv(variable, value)
    account.source(monkeypatch, keep=variable).describe()
    assert account.rig.calls.count("DescribeTable") == 1


def test_an_empty_name_is_no_profile(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    keys(account)
    monkeypatch.setenv("AWS_PROFILE", "")
    with pytest.raises(SourceRefused, match="AWS_PROFILE is empty"):
        account.source(monkeypatch, keep="AWS_PROFILE")


@pytest.mark.parametrize("variable", ["AWS_REGION", "AWS_DEFAULT_REGION"])
def test_an_empty_region_is_none(
    account: Account, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys(account)
    monkeypatch.setenv(variable, "")
    with pytest.raises(SourceRefused, match="no region is set"):
        account.source(monkeypatch, keep=variable, AWS_REGION="")


@pytest.fixture
def encrypted(tmp_path: Path) -> Iterator[tuple[Logins, Path]]:
    """Services with a certificate, and the file of the authority that signed it."""
    authority = Authority("ours")
    with Logins(authority.server(tmp_path, [ADDRESS], 1)) as running:
        yield running, authority.bundle(tmp_path)


@pytest.mark.parametrize("variable", ["AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE"])
def test_a_certificate_is_trusted_by_the_file_that_names_its_authority(
    account: Account,
    encrypted: tuple[Logins, Path],
    variable: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    services, bundle = encrypted
    role_over_profile(account)
    account.rig.admits = services.admits
    account.variables |= {"AWS_ENDPOINT_URL_STS": services.url, variable: str(bundle)}
    account.source(monkeypatch).describe()
    assert len(services.asked("AssumeRole")) == 1


@pytest.mark.parametrize("variable", ["AWS_ENDPOINT_URL_STS", "AWS_ENDPOINT_URL_DYNAMODB"])
def test_a_certificate_that_nobody_trusts_is_named(
    account: Account,
    encrypted: tuple[Logins, Path],
    variable: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    services, _ = encrypted
    role_over_profile(account)
    source = account.source(
        monkeypatch, CONNECTOR_SOURCE__RETRY_SECONDS="0.2", **{variable: services.url}
    )
    with pytest.raises(Unreachable, match="certificate") as caught:
        source.describe()
    assert "AWS_CA_BUNDLE" in caught.value.hint


class _WantsLogin(BaseHTTPRequestHandler):
    def do_CONNECT(self) -> None:
        self.send_response(407, "Proxy Authentication Required")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.fixture
def proxy() -> Iterator[str]:
    """The address of a proxy that wants a login."""
    server = ThreadingHTTPServer((ADDRESS, 0), _WantsLogin)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://{ADDRESS}:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize("variable", ["AWS_ENDPOINT_URL_STS", "AWS_ENDPOINT_URL_DYNAMODB"])
def test_a_proxy_that_wants_a_login_is_no_network_failure(
    account: Account, proxy: str, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    role_over_profile(account)
    source = account.source(monkeypatch, **{variable: "https://service.invalid"}, HTTPS_PROXY=proxy)
    with pytest.raises(SourceRefused, match="proxy") as caught:
        source.describe()
    assert "HTTPS_PROXY" in caught.value.hint


def test_a_proxy_that_is_not_there_is_unreachable(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys(account)
    source = account.source(
        monkeypatch,
        HTTP_PROXY="http://user:canary@127.0.0.1:1",
        CONNECTOR_SOURCE__RETRY_SECONDS="0.2",
    )
    with pytest.raises(Unreachable, match="proxy") as caught:
        source.describe()
    assert "canary" not in str(caught.value)
