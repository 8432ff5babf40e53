"""As much of PromQL's grammar as it takes to say what an expression reads, and through which aggregations.

Invariant: it reads what this project writes (`sum by (label) (...)`, never `sum (...) by (label)`); what it does not
know is an error. Whether Prometheus takes an expression is for promtool to say.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

AGGREGATES = frozenset({"sum", "max", "min", "avg", "count", "group", "stddev", "quantile"})
"""Those that leave one series per group; `topk` keeps its input's."""
GROUPED = frozenset({"by", "without"})
MATCHED = frozenset({"on", "ignoring", "group_left", "group_right"})
WORDS = frozenset({"and", "or", "unless", "bool", "offset", "inf", "nan"})

_TOKEN = re.compile(
    r"""\s*(?:(?P<word>[a-zA-Z_:][a-zA-Z0-9_:]*)
    |(?P<number>[0-9][0-9a-zA-Z.]*)
    |(?P<text>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')
    |(?P<window>\[[^\]]*\])
    |(?P<sign>=~|!~|!=|==|>=|<=|[-+*/%^(){}<>=,@]))""",
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class Call:
    """A function or aggregation around something, and the labels that it keeps; identity tells two calls apart."""

    name: str
    labels: tuple[str, ...]
    at: int


@dataclass(frozen=True, slots=True)
class Selector:
    """A metric that is read: name, matchers as (label, operator, value), and the calls around it, outermost first."""

    metric: str
    matchers: tuple[tuple[str, str, str], ...]
    calls: tuple[Call, ...]

    @property
    def aggregated(self) -> bool:
        """Whether workers are put together."""
        return any(call.name in AGGREGATES for call in self.calls)


@dataclass(slots=True)
class Reading:
    """What an expression reads, and the labels on which it joins."""

    selectors: list[Selector] = field(default_factory=list)
    joined: set[str] = field(default_factory=set)


def read(expression: str) -> Reading:
    """Read an expression. Raises ValueError: it has something that is not known here."""
    return _Reader(expression).read()


class _Reader:
    def __init__(self, expression: str) -> None:
        self._tokens = list(_tokens(expression))
        self._at = 0
        self._calls: list[Call] = []
        self._found = Reading()

    def read(self) -> Reading:
        while self._at < len(self._tokens):
            kind, text = self._tokens[self._at]
            self._at += 1
            if kind == "word":
                self._word(text)
            elif text == "(":
                self._calls.append(Call("", (), self._at))
            elif text == ")":
                self._calls.pop()
        return self._found

    def _word(self, word: str) -> None:
        if word in GROUPED:
            message = f"write `{word}` before the parenthesis of what is aggregated, not after it"
            raise ValueError(message)
        if word in MATCHED:
            self._found.joined.update(self._labels())
        elif word not in WORDS:
            self._call(word)

    def _call(self, word: str) -> None:
        labels: tuple[str, ...] = ()
        if self._next() in GROUPED:
            self._at += 1
            labels = self._labels()
        if self._next() == "(":
            self._at += 1
            self._calls.append(Call(word, labels, self._at))
        else:
            self._found.selectors.append(Selector(word, self._matchers(), tuple(self._calls)))

    def _labels(self) -> tuple[str, ...]:
        """The labels in the parentheses that follow; none where there are none."""
        return tuple(text for kind, text in self._inside("(", ")") if kind == "word")

    def _matchers(self) -> tuple[tuple[str, str, str], ...]:
        texts = [text for _, text in self._inside("{", "}") if text != ","]
        triples = zip(texts[::3], texts[1::3], texts[2::3], strict=True)
        return tuple((label, sign, value[1:-1]) for label, sign, value in triples)

    def _inside(self, opening: str, closing: str) -> list[tuple[str, str]]:
        if self._next() != opening:
            return []
        end = self._tokens.index(("sign", closing), self._at)
        found, self._at = self._tokens[self._at + 1 : end], end + 1
        return found

    def _next(self) -> str:
        return self._tokens[self._at][1] if self._at < len(self._tokens) else ""


def _tokens(expression: str) -> Iterator[tuple[str, str]]:
    at, end = 0, len(expression.rstrip())
    while at < end:
        found = _TOKEN.match(expression, at)
        if found is None:
            message = f"{expression[at : at + 20]!r} is not known here, in {expression}"
            raise ValueError(message)
        at = found.end()
        kind = str(found.lastgroup)
        yield kind, found[kind]
