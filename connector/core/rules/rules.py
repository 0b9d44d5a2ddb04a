"""The rules of one table: which attributes are hashed, masked, excluded, renamed or taken out."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from connector.core.names import SERVICE
from connector.core.rules.hash_key import HashKey
from connector.core.rules.paths import EACH, Path, parse_path, shown_path
from connector.errors import ConfigError

if TYPE_CHECKING:
    from connector.core.keys import KeySchema


@dataclass(frozen=True)
class Rule:
    """What becomes of one value, by the kinds of an entry in `columns`."""

    hash: bool = False
    mask: str | None = None
    exclude: bool = False
    rename: str | None = None
    path: str | None = None

    @property
    def hides(self) -> bool:
        """Whether the value itself is not to be seen."""
        return self.hash or self.exclude or self.mask is not None

    @property
    def kinds(self) -> list[str]:
        """The kinds that the entry has."""
        return [each.name for each in fields(self) if getattr(self, each.name) not in (None, False)]


class RuleError(ValueError):
    """Entries that cannot be meant: what is wrong, and a hint."""

    def __init__(self, problem: str, hint: str = "") -> None:
        super().__init__(problem)
        self.problem = problem
        self.hint = hint


_EXCLUSIVE = (
    ("hash", "mask"),
    ("hash", "exclude"),
    ("mask", "exclude"),
    ("rename", "exclude"),
    ("path", "exclude"),
    ("path", "rename"),
)
_INSTEAD = {
    ("path", "exclude"): "Write the entry `exclude` for the nested value itself, not for its "
    "column.",
    ("path", "rename"): "The entry's own name is the name of the column.",
}


def check_rule(name: str, rule: Rule) -> None:
    """Raises RuleError if an entry contradicts itself, and PathError if its name is no path."""
    kinds = rule.kinds
    for one, other in _EXCLUSIVE:
        if one in kinds and other in kinds:
            hint = _INSTEAD.get((one, other), "Take one of them out.")
            raise RuleError(f"{one} and {other} contradict each other.", hint)
    path = parse_path(name)
    if len(path) > 1 and rule.path is not None:
        raise RuleError(
            "path makes a column of its own, and this entry's name leads into another attribute.",
            rf"Give the column a plain name, with \. for a dot in it: {_plain(path)}.",
        )
    if len(path) > 1 and rule.rename is not None:
        raise RuleError(
            "rename names the column of a whole attribute, and this value has none.",
            f"Make a column of it instead: `{_plain(path)}: {{path: {name}}}`.",
        )
    if rule.path is not None:
        parse_path(rule.path)
    made = rule.rename if rule.path is None else str(path[0])
    if made is not None and made.casefold() in SERVICE:
        kind = "rename" if rule.path is None else "path"
        raise RuleError(
            f"{kind}: {made} is a column of the connector's own.", "Choose another name."
        )


def _plain(path: Path) -> str:
    return "_".join(step for step in path if step is not EACH)


BESIDE = "\\"
"""What comes before the name of an attribute whose column another value takes by its path."""


@dataclass(frozen=True)
class Rules:
    """Every entry of one table, by the text of its path, sorted."""

    columns: tuple[tuple[str, Rule], ...] = ()
    unlisted: Literal["keep", "exclude"] = "keep"
    key_check: str = ""
    """Which hash key the digests are made with, if there are any."""

    @classmethod
    def of(
        cls, entries: Mapping[str, Rule], unlisted: Literal["keep", "exclude"] = "keep"
    ) -> "Rules":
        """The rules of a configuration. Raises RuleError if two entries contradict each other."""
        named: dict[str, Rule] = {}
        for name, rule in entries.items():
            text = shown_path(parse_path(name))
            if text in named:
                raise RuleError(f"two entries are about {text}.", "Take one of them out.")
            named[text] = _normal(rule)
        every = cls(tuple(sorted(named.items())), unlisted)
        _check_names(every)
        _check_nested(every)
        # An entry without a rule only says that its attribute is listed.
        kept = (each for each in every.columns if each[1].kinds or unlisted == "exclude")
        return replace(every, columns=tuple(kept))

    def __bool__(self) -> bool:
        return bool(self.columns) or self.unlisted == "exclude"

    def __str__(self) -> str:
        if not self:
            return "no rules"
        each = [f"{name} ({' and '.join(rule.kinds) or 'kept'})" for name, rule in self.columns]
        return ", ".join([*each, f"unlisted: {self.unlisted}"])

    @cached_property
    def entries(self) -> tuple[tuple[Path, Rule], ...]:
        """The entries with their paths."""
        return tuple((parse_path(name), rule) for name, rule in self.columns)

    @property
    def hashes(self) -> bool:
        """Whether there are digests, which need a key."""
        return any(rule.hash for _, rule in self.columns)

    @property
    def hides(self) -> bool:
        """Whether something of an item must not be seen."""
        return self.unlisted == "exclude" or any(rule.hides for _, rule in self.columns)

    @cached_property
    def names(self) -> dict[str, str]:
        """The names that columns are to have, by attribute, if these are not the attributes'."""
        return {str(path[0]): rule.rename for path, rule in self.entries if rule.rename is not None}

    @property
    def of_rows(self) -> "Rules":
        """The rules that rows are made by: all but the names of columns."""
        bare = ((name, replace(rule, rename=None)) for name, rule in self.columns)
        listed = self.unlisted == "exclude"
        return replace(self, columns=tuple(each for each in bare if each[1].kinds or listed))

    def whole(self, attribute: str) -> Rule:
        """The rule of a whole attribute."""
        return next((rule for path, rule in self.entries if path == (attribute,)), Rule())

    def displaced(self, attribute: str) -> bool:
        """Whether rows call an attribute this because a path has made a column of its name."""
        if not attribute.startswith(BESIDE):
            return False
        name = attribute.removeprefix(BESIDE)
        return any(path == (name,) and rule.path is not None for path, rule in self.entries)

    def hides_whole(self, attribute: str) -> bool:
        """Whether nobody can see the value of a whole attribute as it is."""
        listed = any(path[0] == attribute for path, _ in self.entries)
        return self.whole(attribute).hides or (self.unlisted == "exclude" and not listed)

    def row_keys(self, keys: "KeySchema") -> "KeySchema":
        """The key attributes as rows have them: a digest is a text."""
        return tuple(replace(key, tag="S") if self.whole(key.name).hash else key for key in keys)

    def hides_keys(self, keys: "KeySchema") -> bool:
        """Whether a part of the key is hashed."""
        return any(self.whole(key.name).hash for key in keys)

    def keyed(self, key: HashKey | None) -> "Rules":
        """The same, with the check value of the key that digests will be made with."""
        return replace(self, key_check=key.check) if key and self.hashes else self

    def check_keys(self, table: str, keys: "KeySchema") -> None:
        """Raises ConfigError if the rules leave the key as no key."""
        for key in keys:
            for path, rule in self.entries:
                wrong = [kind for kind in rule.kinds if kind in ("mask", "exclude", "path")]
                if path[0] == key.name and (wrong or len(path) > 1):
                    kind = wrong[0] if wrong else rule.kinds[0] if rule.kinds else "a rule"
                    raise ConfigError(
                        f"tables.{table}.columns.{shown_path(path)}: {key.name} is a part of the "
                        f"table's key, so {kind} is not possible.",
                        "A key attribute can be hashed or renamed.",
                    )
            self._check_free(table, key.name)

    def _check_free(self, table: str, name: str) -> None:
        """Raises ConfigError if another attribute is to have the name of a key's column."""
        if name in self.names:
            return
        for attribute, wanted in self.names.items():
            if wanted.casefold() == name.casefold():
                raise ConfigError(
                    f"tables.{table}.columns.{attribute}.rename: {name} is a part of the table's "
                    "key, whose column has that name.",
                    "Choose another name.",
                )

    def plain(self) -> dict[str, Any]:
        """The fields as plain values; `rules_of` reads them back."""
        return {
            "columns": [
                [name, {kind: getattr(rule, kind) for kind in rule.kinds}]
                for name, rule in self.columns
            ],
            "unlisted": self.unlisted,
            "key_check": self.key_check,
        }


def rules_of(values: Mapping[str, Any]) -> Rules:
    """Rules from the fields that `plain` returns."""
    columns = tuple((name, Rule(**rule)) for name, rule in values["columns"])
    return Rules(columns, values["unlisted"], values["key_check"])


NO_RULES = Rules()


def _normal(rule: Rule) -> Rule:
    return rule if rule.path is None else replace(rule, path=shown_path(parse_path(rule.path)))


def _check_names(rules: Rules) -> None:
    """Two columns cannot have one name."""
    taken: dict[str, str] = {}
    for path, rule in rules.entries:
        if len(path) > 1 or rule.exclude:
            continue
        entry = shown_path(path)
        name = rule.rename or str(path[0])
        if other := taken.get(name.casefold()):
            if rule.rename is None and rules.whole(str(parse_path(other)[0])).rename is None:
                continue
            raise RuleError(
                f"the columns of {other} and {entry} would both be called {name}.",
                "Choose another name for one of them.",
            )
        taken[name.casefold()] = entry


def _check_nested(rules: Rules) -> None:
    """What is hidden as a whole has nothing in it that another entry could be about."""
    hidden = {path: rule for path, rule in rules.entries if rule.hides and rule.path is None}
    for path, rule in rules.entries:
        for over in _above(path, hidden):
            raise RuleError(
                f"{shown_path(over)} {_fate(hidden[over])} as a whole, so the entry "
                f"{shown_path(path)} would have no effect.",
                "Take one of the two entries out.",
            )
        if rule.path is None:
            continue
        source = parse_path(rule.path)
        for over in _above(source, hidden):
            if not hidden[over].exclude:
                raise RuleError(
                    f"{shown_path(over)} {_fate(hidden[over])} as a whole, so there is no "
                    f"{rule.path} to make the column {shown_path(path)} of.",
                    "Take one of the two entries out.",
                )


def _above(path: Path, hidden: Iterable[Path]) -> list[Path]:
    return [each for each in hidden if len(each) < len(path) and path[: len(each)] == each]


def _fate(rule: Rule) -> str:
    return "is hashed" if rule.hash else "is excluded" if rule.exclude else "is masked"
