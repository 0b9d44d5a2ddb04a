"""The two AWS configuration files: the selected profile, and what is wrong with a file."""

import codecs
import configparser
import difflib
import os
import stat
from collections.abc import Container, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore import exceptions as aws
from botocore.configloader import raw_config_parse

from connector.errors import SourceRefused

_PROFILE_VARIABLES = ("AWS_DEFAULT_PROFILE", "AWS_PROFILE")
_MARKS = {
    codecs.BOM_UTF8: "UTF-8",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}


@dataclass(frozen=True)
class AwsFile:
    """One of the two files."""

    path: Path
    variable: str
    """The variable that names the file; empty if it is in its usual place."""

    def __str__(self) -> str:
        return f"{self.path} (from {self.variable})" if self.variable else str(self.path)

    def unreadable(self) -> SourceRefused | None:
        """Why botocore would ignore the file although it exists; None if it would not."""
        hint = f"Correct it, or set {self.variable or 'AWS_CONFIG_FILE'} to another file."
        try:
            # Opening anything else, such as a pipe, could block forever.
            if stat.S_ISREG(self.path.stat().st_mode):
                self.path.open("rb").close()
            elif self.path.is_dir():
                return SourceRefused(f"{self} is a folder, not a file.", hint)
        except (FileNotFoundError, NotADirectoryError):
            if self.path.is_symlink():
                return SourceRefused(f"{self} is a broken link.", hint)
        except OSError as error:
            return SourceRefused(f"{self} cannot be read: {error.strerror}.", hint)
        return None

    def missing(self) -> bool:
        """Whether a variable names the file, but it does not exist."""
        try:
            self.path.stat()
        except FileNotFoundError:
            return bool(self.variable)
        except OSError:
            return False
        return False


@dataclass(frozen=True)
class AwsFiles:
    """Both files, and the selected profile."""

    config: AwsFile
    credentials: AwsFile
    profile: str | None
    asked_by: str
    """Where the profile's name comes from; empty if none is selected."""

    @classmethod
    def of(cls, session: Any, profile: str | None) -> "AwsFiles":
        """The files as a botocore session finds them; `profile` is that of the configuration."""
        asked_by = "source.profile" if profile is not None else ""
        if profile is None:
            profile = session.get_config_variable("profile")
            asked_by = next((name for name in _PROFILE_VARIABLES if name in os.environ), "")
        return cls(
            _file(session, "config_file", "AWS_CONFIG_FILE"),
            _file(session, "credentials_file", "AWS_SHARED_CREDENTIALS_FILE"),
            profile,
            asked_by,
        )

    @property
    def name(self) -> str:
        """The profile in use."""
        return self.profile or "default"

    def check(self) -> None:
        """Refuses a file that cannot be read, if a variable names it or a profile is selected."""
        for file in (self.config, self.credentials):
            problem = file.unreadable()
            if problem and (file.variable or self.profile is not None):
                raise problem

    def notes(self) -> str:
        """Possible reasons why nothing was found, to append to a hint."""
        missing = [
            f"{file.variable} names {file.path}, which does not exist."
            for file in (self.config, self.credentials)
            if file.missing()
        ]
        unread = [
            problem.message
            for file in (self.config, self.credentials)
            if (problem := file.unreadable())
        ]
        return "".join(f" {note}" for note in missing + unread)

    def no_profile(self, profiles: Iterable[str]) -> SourceRefused:
        """The error for a profile that is in neither file; `profiles` are the existing ones."""
        if not self.profile:
            return SourceRefused(
                f"{self.asked_by} is empty: it names no profile.",
                f"Unset {self.asked_by}, or set it to a profile.",
            )
        close = difflib.get_close_matches(self.profile, profiles, 1)
        if self.profile in self._sections():
            hint = f"In {self.config} its section must be called [profile {self.profile}]."
        elif close:
            hint = f"Did you mean {close[0]}?"
        else:
            hint = "`aws configure list-profiles` lists the existing ones."
        return SourceRefused(
            f"{self.asked_by}: there is no profile {self.profile} in {self.config} or "
            f"{self.credentials}.",
            hint + self.notes(),
        )

    def of_profile(self, profile: str) -> str:
        """The file that contains a profile, for an error."""
        section = "default" if profile == "default" else f"profile {profile}"
        return str(self.config if section in self._sections() else self.credentials)

    def _sections(self) -> Container[str]:
        try:
            sections: Container[str] = raw_config_parse(str(self.config.path))
            return sections
        except aws.BotoCoreError:
            return ()

    def garbled(self, error: aws.ConfigParseError) -> SourceRefused:
        """The error for a file that cannot be parsed, without any of its content."""
        path = _expanded(str(error.kwargs["path"]))
        file = next((each for each in (self.config, self.credentials) if each.path == path), path)
        sentence, hint = _flaw(path, error.kwargs.get("error"))
        return SourceRefused(f"{file} cannot be read: {sentence}.", hint)


def _file(session: Any, name: str, variable: str) -> AwsFile:
    # An empty name means no file.
    path = _expanded(session.get_config_variable(name) or os.devnull)
    return AwsFile(path, variable if os.environ.get(variable) else "")


def _expanded(path: str) -> Path:
    try:
        return Path(os.path.expandvars(path)).expanduser()
    except RuntimeError:
        # There is no home folder, so botocore looks for a folder called ~.
        return Path(path)


def _flaw(path: Path, error: object) -> tuple[str, str]:
    content = path.read_bytes()
    for mark, encoding in _MARKS.items():
        if content.startswith(mark):
            return (
                "it begins with a byte order mark",
                f"Save it as UTF-8 without a byte order mark; it is {encoding} with one now.",
            )
    if isinstance(error, UnicodeError):
        return f"line {_undecodable(content)} is not UTF-8", "Save the file as UTF-8."
    if isinstance(error, configparser.DuplicateOptionError):
        return (
            f"{error.option} appears twice in [{error.section}], again in line {error.lineno}",
            "Remove one of the two.",
        )
    if isinstance(error, configparser.DuplicateSectionError):
        return (
            f"the section [{error.section}] begins a second time in line {error.lineno}",
            "Merge the two sections.",
        )
    if isinstance(error, configparser.MissingSectionHeaderError):
        return (
            f"line {error.lineno} comes before any section",
            "Begin the file with the name of a section, such as [default].",
        )
    if isinstance(error, configparser.ParsingError):
        lines = ", ".join(str(line) for line, _ in error.errors)
        return f"line {lines} is neither a section nor `key = value`", "Correct that line."
    return (
        "an indented line below an empty value is not `key = value`",
        "Write a value on the line of its key.",
    )


def _undecodable(content: bytes) -> int:
    """The number of the first line that is not UTF-8."""
    try:
        content.decode()
    except UnicodeDecodeError as error:
        return content.count(b"\n", 0, error.start) + 1
    return 1
