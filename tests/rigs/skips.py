"""In CI nothing is skipped that CI can have: there, such a skip is a failure."""

import os
from collections.abc import Iterator

import pytest

BEYOND_CI = (
    "no file system can be mounted here",
    "no small disk can be mounted here",
    "only root can mount a small disk",
    "not a git clone",
    "root reads all",
)
"""Reasons that lie in how the machine runs this, which no CI can promise to mend."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Iterator[None]:
    """Turns a skip into a failure that gives the reason."""
    report: pytest.TestReport = yield
    if os.environ.get("CI") and report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        if not any(each in str(reason) for each in BEYOND_CI):
            report.outcome = "failed"
            report.longrepr = f"{reason} -- and in CI nothing is skipped that CI can have"
    return report
