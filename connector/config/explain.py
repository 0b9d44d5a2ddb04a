"""Turns a pydantic error into one sentence: where, which key, what is wrong, what is allowed."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from connector.config.layers import Key, Settings, suggest
from connector.config.place import FILE
from connector.config.reading import PREFIX
from connector.errors import ConfigError

# Sentences never hold the value: it may be a secret, or contain one through ${NAME}.
_SENTENCES = {
    "string_type": "must be text: put it in quotes",
    "string_too_short": "must not be empty",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_parsing_size": "must be a smaller number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "finite_number": "must be a number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "literal_error": "must be {expected}",
    "greater_than": "must be more than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "model_type": "must be a section with keys of its own",
    "model_attributes_type": "must be a section with keys of its own",
    "mapping_type": "must be a section with keys of its own",
    "dict_type": "must be a section with keys of its own",
}


def explain(
    error: ValidationError, settings: Settings, allowed: Mapping[Key, list[str]]
) -> ConfigError:
    """The first problem as a ConfigError; `allowed` lists the keys of each section."""
    problems = error.errors(include_url=False, include_input=False)
    # A misspelt key is also reported as missing: the misspelling says more.
    problems.sort(key=lambda problem: problem["type"] != "extra_forbidden")
    return _explain(problems[0], settings, allowed)


def _explain(
    problem: ErrorDetails, settings: Settings, allowed: Mapping[Key, list[str]]
) -> ConfigError:
    key = tuple(str(part) for part in problem["loc"] if part != "[key]")
    context: dict[str, Any] = problem.get("ctx", {})
    if problem["type"] == "missing":
        return no_destination(settings.file)
    if context.get("key"):
        key = (*key, context["key"])
    where = _where(key, settings)
    if problem["type"] == "extra_forbidden":
        section = _section(key)
        return ConfigError(f"{where} is not a known key.", suggest(key[-1], allowed[section]))
    if problem["type"] == "refused":
        return ConfigError(
            f"{where}: {context['problem']}" if where else context["problem"], context["hint"]
        )
    sentence = _SENTENCES.get(problem["type"], "is not allowed")
    return ConfigError(f"{where} {sentence.format_map(context)}.")


def _section(key: Key) -> Key:
    """The section that a key is in; a star stands for any table, and for any column."""
    if key[0] != "tables":
        return key[:-1]
    return ("tables", "*", "columns", "*") if len(key) > 3 else ("tables", "*")


def _where(key: Key, settings: Settings) -> str:
    if not key:
        return ""
    origin = settings.origin(key)
    return origin.shown(key) if origin else ".".join(key)


def no_destination(file: Path | None) -> ConfigError:
    """The error for a configuration without a destination; `file` is the one that was read."""
    return ConfigError(
        "There is no destination.",
        f"Pass --to duckdb:///warehouse.duckdb, or set destination.url in {file or FILE} or "
        f"{PREFIX}DESTINATION__URL.",
    )
