"""Every command that the documents show is one that the command lines take."""

import argparse
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.cli import build_parser as discern_parser
from training.__main__ import build_parser as training_parser

DOCUMENTS = [Path("README.md"), *sorted(Path("docs").rglob("*.md"))]
PROGRAMS = {"python -m training": training_parser, "discern": discern_parser}
_COMMAND = re.compile(r"^\s*(?:\.venv/bin/)?(python -m training|discern) (.+)$", re.MULTILINE)
_BLOCK = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
_ENDS = {";", "&&", "||", "|", ">", "done"}


def commands() -> Iterator[tuple[str, str, str]]:
    """Every command in a shell block: document, program, arguments with continued lines joined and variables filled."""
    for document in DOCUMENTS:
        for block in _BLOCK.findall(document.read_text(encoding="utf-8")):
            for program, arguments in _COMMAND.findall(filled(block.replace("\\\n", " "))):
                if "…" not in arguments:  # shortened for the reader
                    yield str(document), program, arguments


def filled(block: str) -> str:
    """Put a block's own variables in; any other is 1."""
    values = dict(re.findall(r"^(\w+)='([^']*)'$", block, re.MULTILINE))
    return re.sub(r"\$\{?(\w+)\}?", lambda found: values.get(found[1], "1"), block)


def words(arguments: str) -> list[str]:
    """Split as a shell does, up to what ends the command."""
    lexer = shlex.shlex(arguments, posix=True, punctuation_chars=";&|>")
    lexer.whitespace_split = True
    found: list[str] = []
    for word in lexer:
        if word in _ENDS:
            break
        found.append(word)
    return found


SHOWN = sorted(set(commands()))


@pytest.mark.parametrize(("document", "program", "arguments"), SHOWN)
def test_a_shown_command_is_taken(
    document: str, program: str, arguments: str, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        PROGRAMS[program]().parse_args(words(arguments))
    except SystemExit as left:
        pytest.fail(f"{document} shows: {program} {arguments}\n{capsys.readouterr().err} ({left.code})")


@pytest.mark.parametrize("program", PROGRAMS)
def test_every_verb_is_shown_in_some_document(program: str) -> None:
    subparsers = next(a for a in PROGRAMS[program]()._actions if isinstance(a, argparse._SubParsersAction))
    text = "\n".join(document.read_text(encoding="utf-8") for document in DOCUMENTS)

    missing = [verb for verb in subparsers.choices if not re.search(rf"{re.escape(program)} {verb}\b", text)]

    assert not missing
