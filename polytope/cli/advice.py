"""Messages of ``adapters.load`` for the command line: what they say to pass, as options of a command."""

from __future__ import annotations

import ast
import re
import shlex

_CALL = "load(path, "
_WORDS = {
    "input_shape": "--input-shape",
    "activation": "--activation",
    "module": "--module",
    "until": "--until",
    "from_": "--from",
    "smooth": "--smooth",
    "dequantised": "--dequantised",
}
_MODULE, _SIZES, _NAME = "FILE.py:NAME", "SIZES", "NAME"


def in_options(message: str) -> str:
    """The message with every ``load(path, until='x')`` written as ``--until x``.

    Example:
        >>> in_options("Say it: load(path, input_shape=(1, 28, 28), activation='relu').")
        'Say it: --input-shape 1,28,28 --activation relu.'
        >>> in_options("Name the other outputs: load(path, until=...).")
        'Name the other outputs: --until NAME.'
    """
    start = message.find(_CALL)
    while start >= 0:
        call, end = _call(message, start)
        words = _CALL if call is None else " ".join(_option(k) for k in call.keywords)
        message = message[:start] + words + message[end:]
        start = message.find(_CALL, start + len(words))
    words = r"(?<![\w'\"-])(?:(input_shape)\b=?|(activation|module|until|from_|smooth|dequantised)=)"
    return re.sub(words, lambda match: _WORDS[match[1] or match[2]], message)


def _call(message: str, start: int) -> tuple[ast.Call | None, int]:
    """The call that begins at a place, and where it ends; names in it may hold brackets."""
    for end in (m.end() for m in re.finditer(r"\)", message[start:])):
        try:
            parsed = ast.parse(message[start : start + end], mode="eval").body
        except (SyntaxError, ValueError):
            continue
        if isinstance(parsed, ast.Call):
            return parsed, start + end
    return None, start + len(_CALL)


def _option(keyword: ast.keyword) -> str:
    """One argument of ``load`` as an option; a list of names becomes the option several times."""
    option = _WORDS[str(keyword.arg)]
    if keyword.arg == "module":
        return f"{option} {_MODULE}"
    value = keyword.value
    if isinstance(value, ast.Constant) and value.value is True:
        return option
    if isinstance(value, ast.Constant) and value.value is ...:
        return f"{option} {_SIZES if keyword.arg == 'input_shape' else _NAME}"
    found = ast.literal_eval(value)
    if isinstance(found, tuple):
        return f"{option} {','.join(map(str, found))}"
    return " ".join(
        f"{option} {shlex.quote(name)}" for name in ([found] if isinstance(found, str) else found)
    )
