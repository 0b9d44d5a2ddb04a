"""AWS's two configuration files: which profile is asked for, and what is wrong with a file."""

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
    """The variable that names it; empty where it lies at its usual place."""

    def __str__(self) -> str:
        return f"{self.path} (from {self.variable})" if self.variable else str(self.path)

    def unreadable(self) -> SourceRefused | None:
        """Why botocore would go on as if the file were not there, although it is."""
        hint = f"Mend it, or let {self.variable or 'AWS_CONFIG_FILE'} name another file."
        try:
            # To open anything else, a pipe for example, could wait for ever.
            if stat.S_ISREG(self.path.stat().st_mode):
                self.path.open("rb").close()
            elif self.path.is_dir():
                return SourceRefused(f"{self} is a folder, not a file.", hint)
        except (FileNotFoundError, NotADirectoryError):
            if self.path.is_symlink():
                return SourceRefused(f"{self} is a link that leads nowhere.", hint)
        except OSError as error:
            return SourceRefused(f"{self} cannot be read: {error.strerror}.", hint)
        return None

    def missing(self) -> bool:
        """Whether a variable names it, and it is not there."""
        try:
            self.path.stat()
        except FileNotFoundError:
            return bool(self.variable)
        except OSError:
            return False
        return False


@dataclass(frozen=True)
class AwsFiles:
    """Both files, and the profile that is asked for."""

    config: AwsFile
    credentials: AwsFile
    profile: str | None
    asked_by: str
    """Where the profile's name comes from; empty where none is asked for."""

    @classmethod
    def of(cls, session: Any, profile: str | None) -> "AwsFiles":
        """The files as a session of botocore finds them; `profile` is the configuration's."""
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
        """Refuses a file that cannot be read, where somebody asks for what is in it."""
        for file in (self.config, self.credentials):
            problem = file.unreadable()
            if problem and (file.variable or self.profile is not None):
                raise problem

    def notes(self) -> str:
        """What may be why nothing was found: for the end of a hint."""
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
        """The error for a profile that is in neither file; `profiles` are those that are."""
        if not self.profile:
            return SourceRefused(
                f"{self.asked_by} is empty: it names no profile.",
                f"Unset {self.asked_by}, or let it name a profile.",
            )
        close = difflib.get_close_matches(self.profile, profiles, 1)
        if self.profile in self._sections():
            hint = f"In {self.config} its section must be called [profile {self.profile}]."
        elif close:
            hint = f"Did you mean {close[0]}?"
        else:
            hint = "`aws configure list-profiles` lists those that there are."
        return SourceRefused(
            f"{self.asked_by}: there is no profile {self.profile} in {self.config} or "
            f"{self.credentials}.",
            hint + self.notes(),
        )

    def of_profile(self, profile: str) -> str:
        """The file in which a profile stands, for an error."""
        section = "default" if profile == "default" else f"profile {profile}"
        return str(self.config if section in self._sections() else self.credentials)

    def _sections(self) -> Container[str]:
        try:
            sections: Container[str] = raw_config_parse(str(self.config.path))
            return sections
        except aws.BotoCoreError:
            return ()

    def garbled(self, error: aws.ConfigParseError) -> SourceRefused:
        """What is wrong with a file that is no configuration, without a word of what it holds."""
        path = _expanded(str(error.kwargs["path"]))
        file = next((each for each in (self.config, self.credentials) if each.path == path), path)
        sentence, hint = _flaw(path, error.kwargs.get("error"))
        return SourceRefused(f"{file} cannot be read: {sentence}.", hint)


def _file(session: Any, name: str, variable: str) -> AwsFile:
    # An empty name stands for no file.
    path = _expanded(session.get_config_variable(name) or os.devnull)
    return AwsFile(path, variable if os.environ.get(variable) else "")


def _expanded(path: str) -> Path:
    try:
        return Path(os.path.expandvars(path)).expanduser()
    except RuntimeError:
        # There is no home, and botocore looks for a folder called ~.
        return Path(path)


def _flaw(path: Path, error: object) -> tuple[str, str]:
    content = path.read_bytes()
    for mark, encoding in _MARKS.items():
        if content.startswith(mark):
            return (
                "it begins with a byte order mark",
                f"Save it as UTF-8 without a byte order mark; now it is {encoding} with one.",
            )
    if isinstance(error, UnicodeError):
        return f"line {_undecodable(content)} is not UTF-8", "Save the file as UTF-8."
    if isinstance(error, configparser.DuplicateOptionError):
        return (
            f"{error.option} stands twice in [{error.section}], again in line {error.lineno}",
            "Remove one of the two.",
        )
    if isinstance(error, configparser.DuplicateSectionError):
        return (
            f"the section [{error.section}] begins a second time in line {error.lineno}",
            "Make one section of the two.",
        )
    if isinstance(error, configparser.MissingSectionHeaderError):
        return (
            f"line {error.lineno} stands before any section",
            "Begin the file with the name of a section, such as [default].",
        )
    if isinstance(error, configparser.ParsingError):
        lines = ", ".join(str(line) for line, _ in error.errors)
        return f"line {lines} is neither a section nor `key = value`", "Mend that line."
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
