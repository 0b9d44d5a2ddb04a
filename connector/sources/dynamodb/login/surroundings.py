"""What a session takes from its environment: Region, endpoints, certificates, numbers."""

import os
import ssl
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any

from botocore import exceptions as aws

from connector.config.aws_names import check_region, is_usual_region
from connector.config.model import SourceConfig
from connector.config.urls import check_endpoint
from connector.errors import ConfigError, SourceRefused
from connector.sources.dynamodb.login.files import AwsFiles
from connector.sources.dynamodb.refused.refusals import no_region

_NUMBERS = {
    "metadata_service_timeout": "AWS_METADATA_SERVICE_TIMEOUT",
    "metadata_service_num_attempts": "AWS_METADATA_SERVICE_NUM_ATTEMPTS",
}
_SECTIONS = ("api_versions",)
TABLE_SERVICES = ("dynamodb", "dynamodb_streams")
LOGIN_SERVICES = ("sts", "sso", "sso_oidc", "signin")
"""The names of services in the variables and files for endpoints."""


def region(source: SourceConfig, session: Any, files: AwsFiles) -> str:
    """The Region of the source. Raises ConfigError for an invalid name."""
    for name, value in (
        ("source.region", source.region),
        ("source.regions", source.home),
        ("AWS_REGION", os.environ.get("AWS_REGION")),
        ("AWS_DEFAULT_REGION", os.environ.get("AWS_DEFAULT_REGION")),
        (_of_profile("region", files), session.get_scoped_config().get("region")),
    ):
        if value:
            try:
                return check_region(str(value))
            except ConfigError as error:
                raise ConfigError(f"{name}: {error.message}", error.hint) from None
    raise no_region()


def known_region(session: Any, name: str, endpoint: str) -> None:
    """Refuses a Region that AWS cannot have, if botocore made the endpoint from it."""
    if is_usual_region(name) or f".{name}." not in endpoint:
        return
    try:
        session.get_partition_for_region(name)
    except aws.UnknownRegionError:
        raise SourceRefused(
            f"AWS has no Region {name}.",
            "A Region looks like us-west-2; an emulator needs source.endpoint_url.",
        ) from None


def check_endpoints(session: Any, services: Iterable[str], allow_http: bool) -> None:
    """Refuses an endpoint that is not a URL; the error names the setting that it comes from."""
    for service in services:
        for name, url in _endpoints(session, service):
            try:
                check_endpoint(url, allow_http=allow_http)
            except ConfigError as error:
                raise ConfigError(f"{name}: {error.message}", error.hint) from None


def endpoint(session: Any, service: str) -> str | None:
    """The endpoint that is configured for a service; None for AWS's own."""
    return next((url for _, url in _endpoints(session, service)), None)


def _endpoints(session: Any, service: str) -> Iterator[tuple[str, str]]:
    """The setting that determines a service's endpoint, in botocore's own order, and its value."""
    if session.get_config_variable("ignore_configured_endpoint_urls"):
        return
    profile = session.get_scoped_config()
    group = profile.get("services", "")
    services = session.full_config.get("services", {}).get(group, {})
    own = services.get(service, {})
    for name, url in (
        (
            f"AWS_ENDPOINT_URL_{service.upper()}",
            os.environ.get(f"AWS_ENDPOINT_URL_{service.upper()}"),
        ),
        ("AWS_ENDPOINT_URL", os.environ.get("AWS_ENDPOINT_URL")),
        (
            f"endpoint_url of {service} in [services {group}]",
            own.get("endpoint_url") if isinstance(own, dict) else None,
        ),
        ("endpoint_url of the AWS profile", profile.get("endpoint_url")),
    ):
        if url:
            yield name, str(url)
            return


def check_settings(session: Any, files: AwsFiles) -> None:
    """Refuses an unusable file of certificates, and settings that should be text or numbers."""
    for key, value in session.get_scoped_config().items():
        if isinstance(value, dict) and key not in _SECTIONS and ("_" in key or key == "services"):
            raise SourceRefused(
                f"{files.of_profile(files.name)}: {key} of the profile {files.name} has indented "
                "lines below it instead of a value.",
                "Write its value on the same line.",
            )
    for logical, variable in _NUMBERS.items():
        name = variable if variable in os.environ else _of_profile(logical, files)
        try:
            number = session.get_config_variable(logical)
        except ValueError:
            number = 0
        if number < 1:
            raise SourceRefused(
                f"{name} must be a whole number, at least 1.", "Correct it, or unset it."
            )
    bundle = session.get_config_variable("ca_bundle")
    name = "AWS_CA_BUNDLE" if "AWS_CA_BUNDLE" in os.environ else _of_profile("ca_bundle", files)
    if bundle is None:
        name, bundle = "REQUESTS_CA_BUNDLE", os.environ.get("REQUESTS_CA_BUNDLE")
    if bundle is not None:
        _check_certificates(name, bundle)


def _check_certificates(name: str, path: str) -> None:
    hint = f"Set {name} to a file of certificates in PEM, or unset it."
    try:
        _load_certificates(path)
    except ssl.SSLError:
        raise SourceRefused(f"{name}: {path} contains no certificates.", hint) from None
    except OSError as error:
        raise SourceRefused(f"{name}: {path} cannot be read: {error.strerror}.", hint) from None


@cache
def _load_certificates(path: str) -> None:
    """Reads a file of certificates; cached, since that takes long."""
    ssl.create_default_context(cafile=path)


def _of_profile(key: str, files: AwsFiles) -> str:
    return f"{key} of the AWS profile {files.name}"
