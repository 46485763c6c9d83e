"""A YAML file that knows on which line each of its keys stands."""

from __future__ import annotations

import re
from collections.abc import Callable, Container
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import yaml
from yaml.composer import Composer

from dalla_mqtt.errors import ConfigError

T = TypeVar("T")
_Loader: TypeAlias = "yaml.SafeLoader | yaml.CSafeLoader"  # the second is not everywhere

# A file that is larger, nests deeper or repeats itself further, by *aliases, is broken or hostile.
_LARGEST = 8 * 2**20  # bytes; 1,000 sites of 20 devices each take one tenth
_DEPTH = 8
_REPEATED = 100_000
ON_TOP = 2  # rank of what wins over the file
_DECIMAL = re.compile(r"[-+]?(0|[1-9][0-9]*)")

# What PyYAML says, in words for people. It quotes parts of values, which may be parts of a password: this does not.
_MENDS = (
    (r"found character '\t'", "there is a tab: indent with blanks"),
    ("found character", "a value that begins with this character has to be in quotes"),
    ("found undefined alias", "a value that begins with * has to be in quotes"),
    ("found undefined tag", "a value that begins with ! has to be in quotes"),
    ("expected URI", "a value that begins with ! has to be in quotes"),
    ("mapping values are not allowed", "a colon too many, a blank too few in the line above, or a wrong indentation"),
    ("could not find expected ':'", "expected `key: value`; is a blank missing after the colon?"),
    ("found unexpected end of stream", "a quotation mark is opened and not closed"),
    ("expected <block end>", "the indentation does not fit the lines above, or text after quotes"),
    ("expected ','", "a bracket is opened and not closed, or a comma is missing"),
    ("but found another document", "there is a second `---`: one file holds one configuration"),
    ("second occurrence", "the same &anchor is given twice"),
)


class Places:
    """Where each setting was said: a line of the file, a variable or a flag."""

    def __init__(self, file: str = "") -> None:
        self._file = file
        self._sources: dict[str, int | str] = {}  # lines of the file, or in words
        self._above = ""
        self._sections: Container[str] = ()

    def within(self, above: str, sections: Container[str]) -> Places:
        """The same for keys below `above`, which win over those of the same name at the top.

        Of `sections`, both say something; all else that is said below `above` is said in full.
        """
        places = Places(self._file)
        places._sources, places._above, places._sections = self._sources, f"{above}.", sections
        return places

    def note(self, key: str, line: int) -> None:
        """`key` stands on `line` of the file."""
        self._sources[key] = line

    def tell(self, key: str, source: str) -> None:
        """`key` was set, or set again, by something that wins over the file."""
        for below in [place for place in self._sources if place.startswith(f"{key}[")]:
            del self._sources[below]
        self._sources[key] = source

    def names(self, key: str) -> bool:
        """Whether anybody set `key`."""
        return self.full(key) in self._sources

    def rank(self, key: str) -> int:
        """How near to its use it was said: nowhere, in the file, ON_TOP of that, or for this site alone."""
        full = self.full(key)
        if full not in self._sources:
            return 0
        if full != key:
            return ON_TOP + 1
        return ON_TOP if isinstance(self._sources[key], str) else ON_TOP - 1

    def full(self, key: str) -> str:
        """`key` as it was said, or would be: below `sites:`, or at the top for all of them."""
        here = self._nearest(key, self._above)
        shared = not here or here in self._sections
        return key if shared and len(self._nearest(key)) > len(here) else f"{self._above}{key}"

    def parse(self, key: str, parse: Callable[[Any], T], value: object) -> T:
        """What `parse` makes of the value of `key`. Raises ConfigError where it raises ValueError."""
        try:
            return parse(value)
        except ValueError as error:
            raise self.error(key, str(error)) from error

    def error(self, key: str, text: str) -> ConfigError:
        """What is wrong with `key`, told with its place or that of the section around it."""
        full = self.full(key)
        source = self._sources.get(self._nearest(full), self._file)
        where = f"{self._file} line {source}" if isinstance(source, int) else source
        return ConfigError(": ".join(part for part in (where, full, text) if part))

    def _nearest(self, key: str, above: str = "") -> str:
        """`key`, or the section around it, which was said below `above`; nothing where none was."""
        while key and f"{above}{key}" not in self._sources:
            key = key[: max(key.rfind("."), key.rfind("["), 0)]
        return key


def read_yaml(file: Path) -> tuple[dict[str, Any], Places]:
    """The settings in `file`, and where they stand. Raises ConfigError for what is not plain, unambiguous YAML."""
    places = Places(str(file))
    loader, root = _compose(file)
    tree = _Reader(loader, places).value(root, "") if root is not None else None
    if tree is None:
        return {}, places
    if not isinstance(tree, dict):
        raise ConfigError(f"{file}: expected lines such as `site: home`")
    return tree, places


def _compose(file: Path) -> tuple[_Loader, yaml.Node | None]:
    text = _text(file)
    try:
        return _swiftly(text) if yaml.__with_libyaml__ else _plainly(text)
    except yaml.MarkedYAMLError as error:
        mark = (isinstance(error, yaml.scanner.ScannerError) and error.context_mark) or error.problem_mark
        line = f" line {mark.line + 1}" if mark else ""
        problem = error.problem or "something is wrong here"
        mend = next((mend for start, mend in _MENDS if problem.startswith(start)), problem)
        raise ConfigError(f"{file}{line}: not YAML: {mend}") from error
    except yaml.reader.ReaderError as error:
        number = text.count("\n", 0, error.position) + 1
        raise ConfigError(f"{file} line {number}: not YAML: take out the control character") from error
    except RecursionError as error:
        raise ConfigError(f"{file}: nested further than any setting") from error


def _swiftly(text: str) -> tuple[_Loader, yaml.Node | None]:
    """The nodes made in Python of what libyaml reads: ten times as fast as without it.

    Where libyaml's own part makes the nodes, a file of brackets alone overflows the stack.
    """
    composer = Composer()
    try:
        loader = yaml.CSafeLoader(text)
        for name in ("check_event", "get_event", "peek_event", "resolve", "descend_resolver", "ascend_resolver"):
            setattr(composer, name, getattr(loader, name))
        return loader, composer.get_single_node()
    except (yaml.YAMLError, UnicodeError):
        return _plainly(text)  # which tells better what is wrong


def _plainly(text: str) -> tuple[_Loader, yaml.Node | None]:
    loader = yaml.SafeLoader(text)
    return loader, loader.get_single_node()


def _text(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            content = opened.read(_LARGEST + 1)
        if len(content) > _LARGEST:
            raise ConfigError(f"{file}: larger than {_LARGEST >> 20} MiB, and no configuration")
        return content.decode("utf-8-sig")
    except OSError as error:
        raise ConfigError(f"{file}: cannot read it: {error.strerror}") from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{file} line {line}: not text in UTF-8; save the file as UTF-8") from error


class _Reader:
    def __init__(self, loader: _Loader, places: Places) -> None:
        self._loader = loader
        self._places = places
        self._seen: set[int] = set()  # ids of nodes
        self._repeated = 0

    def value(self, node: yaml.Node, key: str, depth: int = 0) -> Any:  # noqa: ANN401  # what YAML holds
        self._repeated += id(node) in self._seen
        self._seen.add(id(node))
        if depth > _DEPTH or self._repeated > _REPEATED:
            raise self._places.error(key, "nested or repeated further than any setting")
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, key, depth)
        if isinstance(node, yaml.SequenceNode):
            return self._sequence(node, key, depth)
        return self._scalar(node, key)

    def _mapping(self, node: yaml.MappingNode, key: str, depth: int) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for name_node, node_below in node.value:
            name = self._name(name_node, key)
            below = f"{key}.{name}".lstrip(".")
            self._note(below, name_node)
            if name in values:
                raise self._places.error(below, "said twice; leave one of them out")
            values[name] = self.value(node_below, below, depth + 1)
        return values

    def _sequence(self, node: yaml.SequenceNode, key: str, depth: int) -> list[Any]:
        values = []
        for index, item in enumerate(node.value):
            self._note(f"{key}[{index}]", item)
            values.append(self.value(item, f"{key}[{index}]", depth + 1))
        return values

    def _name(self, node: yaml.Node, key: str) -> str:
        if not isinstance(node, yaml.ScalarNode):
            raise self._error(node, key, "expected a name and a colon")
        text = str(node.value)
        below = f"{key}.{text.partition(':')[0]}".lstrip(".")  # what follows a colon may be a password
        if node.tag != "tag:yaml.org,2002:str":
            raise self._error(node, below, "not a name; put it in quotes if it is one")
        if ":" in text and not node.style:
            raise self._error(node, below, "put a blank after the colon, or quotes around the name")
        return text

    def _scalar(self, node: yaml.Node, key: str) -> Any:  # noqa: ANN401
        kind = node.tag.removeprefix("tag:yaml.org,2002:")
        if (kind == "int" and not _DECIMAL.fullmatch(node.value)) or (kind == "float" and ":" in node.value):
            mend = "YAML takes this for a number, and reads another one than is written; put it in quotes"
            raise self._places.error(key, mend)
        try:
            return self._loader.construct_object(node)
        except (yaml.YAMLError, ValueError, LookupError, AttributeError) as error:  # all that a wrong !!tag can raise
            raise self._places.error(key, "YAML cannot read this value; put it in quotes") from error

    def _note(self, key: str, node: yaml.Node) -> None:
        self._places.note(key, node.start_mark.line + 1)

    def _error(self, node: yaml.Node, key: str, text: str) -> ConfigError:
        self._note(key, node)
        return self._places.error(key, text)
