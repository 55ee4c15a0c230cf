"""Every English sentence that the parts below the shell may tell a person, found in the sources as a template.

A template is an f-string with its blanks named after what fills them: ``there is no review {review_id}; …``. Blanks
lose their conversion and format. Where the source chooses between texts inside a blank, plain words (``the home``)
become sentences of their own, by which the blank's value is translated; texts that have blanks make a template for each
choice.
"""

from __future__ import annotations

import ast
import itertools
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

from dojang.messages import BLANK, skeleton

ROOT = Path(__file__).parents[2]
PARTS = ("graph", "nodes", "checkpoints", "store", "adapters", "tools", "dojang")
ROOT_CLASSES = frozenset({"DojangError", "Damage", "Unfit", "Unclear", "ConditionFailed", "Refused"})
"""The family, and the exceptions whose texts end up inside its messages."""
TELLING = {"error": 0, "Found": 2, "broken": 2, "problem": 3, "remark": 3, "Finding": 0, "Check": 2}
"""Functions that take a sentence, and the position from which on."""
VALUE_ERRORS = (
    "tools/rules.py",
    "tools/standing.py",
    "tools/mcp/config.py",
    "checkpoints/",
    "adapters/training/rows.py",
    "adapters/training/shapes.py",
)
"""Where the text of a ValueError is put into a message."""
TABLES = ("store/postgres/diagnosis.py",)
"""Modules with a table of (pattern, flag, sentence with blanks for ``str.format``)."""
RETURNING = frozenset(
    {
        ("dojang/runs.py", "_can_go_on"),
        ("dojang/reviews.py", "_evidence"),
        ("checkpoints/audit/chain.py", "head_problem"),
        ("store/readers/kinds.py", "kind_in_words"),
        ("adapters/durable.py", "remedy"),
        ("adapters/local/loading.py", "_missing"),
        ("adapters/registry/aliases.py", "_problem"),
        ("tools/checking.py", "_errors"),
        ("tools/checking.py", "_error"),
        ("tools/checking.py", "violations"),
        ("nodes/gate.py", "unfit"),
        ("tools/mcp/servers.py", "_unaccepted"),
        ("tools/mcp/servers.py", "_held_back"),
    }
)
"""Functions that give back sentences."""
NAMES = frozenset({"note", "problems", "absent", "strange", "wrong", "lost", "damage", "left", "why", "failed", "text"})
"""Variables and keys that hold sentences for a person."""
NAMED_IN = (
    "dojang/runs.py",
    "dojang/conversations.py",
    "dojang/documents.py",
    "dojang/reviews.py",
    "dojang/server/app.py",
    "dojang/server/serving.py",
    "checkpoints/",
    "tools/checking.py",
    "nodes/wire.py",
    "store/",
)
EXEMPT = ("dojang/server/forms.py",)
"""Said in the reader's language already."""


@dataclass(frozen=True)
class Sentence:
    """A template, and where it stands."""

    text: str
    where: str


@lru_cache(maxsize=1)
def sentences() -> dict[str, str]:
    """{template: "file:line" of one place}, in the order of the sources; templates that differ in names only, once."""
    files = [ROOT / "state.py", *(path for part in PARTS for path in sorted((ROOT / part).rglob("*.py")))]
    trees = {path.relative_to(ROOT).as_posix(): ast.parse(path.read_text("utf-8")) for path in files}
    trees = {name: tree for name, tree in trees.items() if not name.startswith(EXEMPT)}
    family = _family(trees.values())
    found: dict[str, Sentence] = {}
    for name, tree in trees.items():
        for sentence in _Module(name, tree, family).sentences():
            found.setdefault(skeleton(sentence.text), sentence)
    return {sentence.text: sentence.where for sentence in found.values()}


def _family(trees: Iterable[ast.Module]) -> set[str]:
    """Names of all classes that come from one of the roots."""
    bases: dict[str, set[str]] = {}
    for tree in trees:
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                bases.setdefault(node.name, set()).update(ast.unparse(base).split(".")[-1] for base in node.bases)
    family = set(ROOT_CLASSES)
    while more := {name for name, above in bases.items() if above & family} - family:
        family |= more
    return family


class _Module:
    def __init__(self, name: str, tree: ast.Module, family: set[str]) -> None:
        self.name, self.tree, self.family = name, tree, family
        self.constants = {
            _key(node.target if isinstance(node, ast.AnnAssign) else node.targets[0]): node.value
            for node in tree.body
            if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, ast.Constant)
        }
        self.passing = {**TELLING, **dict(self._passing())}

    def _passing(self) -> Iterator[tuple[str, int]]:
        """(function, position) where an error is made of a text that its caller gives."""
        for function, node in _walk(self.tree, None):
            if isinstance(function, ast.FunctionDef) and isinstance(node, ast.Call) and function.name != "__init__":
                names = [a.arg for a in function.args.args if a.arg != "self"]
                made = ast.unparse(node.func).split(".")[-1] in self.family
                for argument in node.args if made else []:
                    if isinstance(argument, ast.Name) and argument.id in names:
                        yield function.name, names.index(argument.id)

    def sentences(self) -> Iterator[Sentence]:
        yield from self._tables()
        for function, node in _walk(self.tree, None):
            chosen = partial(self._chosen, function)
            for value in self._told(node, function):
                reader = _Reader(chosen)
                where = f"{self.name}:{value.lineno}"
                for text in reader.templates(value):
                    if is_sentence(text):
                        yield Sentence(text, where)
                yield from (Sentence(word, where) for word in reader.words)

    def _chosen(self, function: ast.AST | None, name: str) -> list[ast.expr]:
        """The texts that the function around it gives to a variable; [] where one of them is none."""
        if function is None:
            return []
        given = [
            node.value
            for node in ast.walk(function)
            if isinstance(node, ast.Assign) and any(_key(target) == name for target in node.targets)
        ]
        texts = [branch for value in given for branch in _branches(value)]
        plain = all(isinstance(text, ast.JoinedStr) or _constant(text) is not None for text in texts)
        return texts if plain else []

    def _tables(self) -> Iterator[Sentence]:
        """Sentences of a table, written as templates that are filled later."""
        for node in ast.walk(self.tree) if self.name in TABLES else ():
            if isinstance(node, ast.Tuple) and len(node.elts) == 3 and (text := _constant(node.elts[2])):
                yield Sentence(text, f"{self.name}:{node.lineno}")

    def _told(self, node: ast.AST, function: ast.AST | None) -> Iterator[ast.expr]:
        """Expressions in this node whose text is for a person."""
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func).split(".")[-1]
            first = self._first(node, name)
            given = [*node.args[first:], *(k.value for k in node.keywords if k.arg == "what")]
            noted = [k.value for k in node.keywords if k.arg in ("note", "problems")]
            for argument in [*(given if first < 99 else []), *noted]:
                yield from self._resolved(argument, function)
        elif isinstance(node, ast.Return) and node.value is not None:
            where = (self.name, getattr(function, "name", ""))
            if where in RETURNING or (self.name == "dojang/doctor.py" and function is not None):
                yield from self._resolved(node.value, function)
        elif isinstance(node, ast.Assign | ast.AugAssign) and self.name.startswith(NAMED_IN):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if any(_key(target) in NAMES for target in targets):
                yield from self._resolved(node.value, function)

    def _first(self, call: ast.Call, name: str) -> int:
        """From which positional argument on a call takes sentences; 99 for none."""
        if name in self.family or ast.unparse(call.func) == "super().__init__":
            return 0
        if name == "ValueError" and self.name.startswith(VALUE_ERRORS):
            return 0
        if name in ("append", "extend") and self.name.startswith(NAMED_IN) and isinstance(call.func, ast.Attribute):
            return 0 if _key(call.func.value) in NAMES else 99
        return self.passing.get(name, 99)

    def _resolved(self, value: ast.expr, function: ast.AST | None) -> Iterator[ast.expr]:
        """The expressions with text in them that a value may come from."""
        if isinstance(value, ast.Name) and value.id in self.constants:
            yield self.constants[value.id]
        elif isinstance(value, ast.Name) and function is not None:
            for node in ast.walk(function):
                if isinstance(node, ast.Assign) and any(_key(target) == value.id for target in node.targets):
                    if not isinstance(node.value, ast.Name):
                        yield from self._resolved(node.value, function)
        elif isinstance(value, ast.Tuple | ast.List):
            for element in value.elts:
                yield from self._resolved(element, function)
        elif isinstance(value, ast.ListComp | ast.GeneratorExp):
            yield from self._resolved(value.elt, function)
        elif isinstance(value, ast.BinOp) and isinstance(value.left, ast.List | ast.ListComp | ast.Subscript):
            yield from self._resolved(value.left, function)
            yield from self._resolved(value.right, function)
        elif isinstance(value, ast.Constant | ast.JoinedStr | ast.IfExp | ast.BoolOp | ast.BinOp):
            yield value
        elif isinstance(value, ast.Starred):
            yield from self._resolved(value.value, function)


def _walk(node: ast.AST, function: ast.AST | None) -> Iterator[tuple[ast.AST | None, ast.AST]]:
    """(the function around it, node) for every node."""
    for child in ast.iter_child_nodes(node):
        yield function, child
        yield from _walk(child, child if isinstance(child, ast.FunctionDef) else function)


def _key(target: ast.expr) -> str:
    if isinstance(target, ast.Subscript) and isinstance(target.slice, ast.Constant):
        return str(target.slice.value)
    return target.id if isinstance(target, ast.Name) else target.attr if isinstance(target, ast.Attribute) else ""


def is_sentence(text: str) -> bool:
    """Whether a template says something in words: two of them, or one with blanks beside it."""
    literals = BLANK.split(text)[0::2]
    words = [word for word in " ".join(literals).split() if any(map(str.isalpha, word))]
    return len(words) > 1 or (len(words) == 1 and len(literals) > 1)


# -- templates of an expression -----------------------------------------------------------------------------------


class _Reader:
    """Makes templates of one expression; ``chosen`` is what its function gives to a variable."""

    def __init__(self, chosen: Callable[[str], list[ast.expr]]) -> None:
        self.chosen = chosen
        self.words: list[str] = []  # texts without blanks that fill a blank
        self.names: dict[str, str] = {}

    def templates(self, value: ast.expr) -> list[str]:
        """All texts that an expression can come to, blanks named; then the words that fill its blanks."""
        texts = ["".join(pieces) for pieces in self.pieces(value)]
        return [re.sub(r"(\{\w+\})(?:\{\w+\})+", r"\1", text) for text in texts]  # nobody can tell two in a row apart

    def pieces(self, value: ast.expr) -> list[list[str]]:
        if isinstance(value, ast.Constant):
            return [[value.value.replace("{", "{{").replace("}", "}}")]] if isinstance(value.value, str) else [[]]
        if isinstance(value, ast.JoinedStr):
            parts = [self.pieces(part) for part in value.values]
            return [list(itertools.chain(*choice)) for choice in itertools.product(*parts)]
        if isinstance(value, ast.FormattedValue):
            quoted = value.conversion == ord("r")
            return [["{" + self.name(value.value, quoted=True) + "}"]] if quoted else self.blank(value.value)
        if isinstance(value, ast.IfExp | ast.BoolOp):
            return [pieces for part in _branches(value) for pieces in self.pieces(part)]
        if isinstance(value, ast.BinOp) and isinstance(value.op, ast.Add):
            both = itertools.product(self.pieces(value.left), self.pieces(value.right))
            return [[*left, *right] for left, right in both]
        return [["{" + self.name(value) + "}"]]

    def blank(self, value: ast.expr) -> list[list[str]]:
        """A blank. Where it is chosen among texts with blanks, or none, those instead."""
        branches = _branches(value)
        if isinstance(value, ast.Name):
            branches = [branch for given in self.chosen(value.id) for branch in _branches(given)]
        if any(isinstance(branch, ast.JoinedStr) or _goes_on(branch) for branch in branches):
            return [pieces for branch in branches for pieces in self.pieces(branch)]
        self.words += [word for branch in branches if (word := _constant(branch)) and any(map(str.isalpha, word))]
        named = next((branch for branch in branches if _constant(branch) is None), value)
        return [["{" + self.name(named) + "}"]]

    def name(self, value: ast.expr, *, quoted: bool = False) -> str:
        """One blank of a template has one name; quoted, the same thing is another text."""
        source = ast.unparse(value) + ("!r" if quoted else "")
        if source not in self.names:
            wish = wished = _name(value).strip("_") or "value"
            n = 2
            while wish in self.names.values():
                wish, n = f"{wished}_{n}", n + 1
            self.names[source] = wish
        return self.names[source]


def _branches(value: ast.expr) -> list[ast.expr]:
    """What a conditional chooses among; anything else alone."""
    if isinstance(value, ast.IfExp):
        return [*_branches(value.body), *_branches(value.orelse)]
    if isinstance(value, ast.BoolOp):
        return [branch for part in value.values for branch in _branches(part)]
    return [value]


def _constant(value: ast.expr) -> str | None:
    """The text of a constant; None for anything else."""
    return value.value if isinstance(value, ast.Constant) and isinstance(value.value, str) else None


def _goes_on(value: ast.expr) -> bool:
    """Whether a chosen text continues the sentence before it, like "; a scanned PDF …"."""
    text = _constant(value)
    return bool(text) and any(map(str.isalpha, str(text))) and str(text)[0] in ";, "


_VAGUE = frozenset({"name", "id", "path", "parent", "stderr", "data", "log"})
_PLAIN = frozenset({"str", "repr", "join", "isoformat", "as_posix", "pid", "shown", "_shown", "_short", "_first_line"})


def _name(value: ast.expr) -> str:
    """What an expression is called, in one word or two."""
    if isinstance(value, ast.Name):
        return {"e": "error", "n": "count"}.get(value.id, value.id.strip("_").lower())
    if isinstance(value, ast.Attribute):
        if value.attr == "__name__":
            return "kind"
        before = _name(value.value)
        return f"{before}_{value.attr}" if value.attr in _VAGUE and before not in ("", "self") else value.attr.lower()
    if isinstance(value, ast.Subscript):
        base = _name(value.value)
        key = value.slice.value if isinstance(value.slice, ast.Constant) else None
        return f"{base}_{key}" if isinstance(key, str) else base
    if isinstance(value, ast.Call):
        return _called(value)
    if isinstance(value, ast.BinOp):
        return _name(value.left) or _name(value.right)
    if isinstance(value, ast.GeneratorExp | ast.ListComp):
        return _name(value.generators[0].iter)
    if isinstance(value, ast.Starred):
        return _name(value.value)
    return ""


def _called(value: ast.Call) -> str:
    called = ast.unparse(value.func).split(".")[-1]
    if called in ("len", "sum"):
        return "count"
    if called == "map":
        return _name(value.args[1])
    if called == "get" and isinstance(value.args[0], ast.Constant):
        return re.sub(r"\W", "", str(value.args[0].value))
    if called in _PLAIN or not value.args:
        inner = value.args[0] if value.args else value.func.value if isinstance(value.func, ast.Attribute) else None
        return _name(inner) if inner is not None else called.strip("_")
    return _name(value.args[0])
