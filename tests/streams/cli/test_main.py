import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from muse_stream.streams.cli import COMMANDS, main
from muse_stream.streams.cli.flags import as_click_error
from muse_stream.streams.errors import BrokerError

RUNNER = CliRunner()


def leaves(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    context = click.Context(command)
    if not isinstance(command, click.Group):
        yield path, command
        return
    for name in command.list_commands(context):
        inner = command.get_command(context, name)
        assert inner is not None
        yield from leaves(inner, (*path, name))


LEAVES = dict(leaves(main))


def test_help_lists_every_command_and_imports_none() -> None:
    code = (
        "import sys\n"
        "from muse_stream.streams.cli import main\n"
        "try:\n    main(['--help'])\n"
        "except SystemExit as end:\n    code = end.code\n"
        "heavy = {'torch', 'numba', 'kafka', 'faust', 'pydantic', 'pyarrow'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy or code else 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert all(name in done.stdout for name in COMMANDS)


@pytest.mark.parametrize("path", LEAVES, ids=" ".join)
def test_every_command_helps_with_an_example(path: tuple[str, ...]) -> None:
    result = RUNNER.invoke(main, [*path, "--help"])
    assert result.exit_code == 0, result.output
    assert f"muse-stream {' '.join(path)}" in result.output.split("Example:")[1]


@pytest.mark.parametrize(
    "path", [path for path in LEAVES if path not in {("worker",), ("config", "schema")}], ids=" ".join
)
def test_every_result_can_be_json(path: tuple[str, ...]) -> None:
    assert any("--json" in parameter.opts for parameter in LEAVES[path].params)


def test_version() -> None:
    assert RUNNER.invoke(main, ["--version"]).output.startswith("muse-stream, version 0.")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["nosuch"], 2, "No such command 'nosuch'"),
        (["config", "show", "--set", "oops"], 2, "is not KEY=VALUE"),
        (["config", "show", "--set", 'features.user=["a"'], 2, "is not JSON"),
        (["config", "show", "--config", "/nonexistent.yaml"], 2, "does not exist"),
        (["config", "show", "--set", "serving.kk=3"], 1, "did you mean serving.k?"),
        (["request", "--user", "7"], 2, "Missing argument 'ITEM...'"),
        (["demo", "--brokers", "x:1"], 2, "No such option"),
        (["--brokers", "x:1", "demo"], 2, "leave out kafka.brokers"),
        (["--config", __file__, "demo"], 2, "leave out --config"),
        (["bench", "nosuch"], 2, "no benchmark 'nosuch'"),
        (["topics", "show", "--brokers", "127.0.0.1"], 1, "is not an address"),
    ],
)
def test_errors_are_one_helpful_line(arguments: list[str], code: int, said: str) -> None:
    result = RUNNER.invoke(main, arguments)
    assert result.exit_code == code, result.output
    assert said in result.output
    assert "Traceback" not in result.output
    assert result.output.count("Error:") == 1


def test_debug_lets_the_exception_through() -> None:
    result = RUNNER.invoke(main, ["--debug", "config", "show", "--set", "serving.kk=3"])
    assert type(result.exception).__name__ == "SettingsError"


def test_planned_errors_speak_for_themselves_and_others_name_their_type() -> None:
    assert as_click_error(BrokerError("first\nsecond")).message == "first\nsecond"
    assert as_click_error(ZeroDivisionError("division\nby zero")).message.startswith(
        "ZeroDivisionError: division by zero ("
    )


def test_flags_may_stand_before_or_after_the_command_and_the_later_wins(tmp_path: Path) -> None:
    config = tmp_path / "muse.yaml"
    config.write_text("serving:\n  k: 7\n  queue_max: 9\n", encoding="utf-8")
    arguments = ["--config", str(config), "--set", "serving.k=20", "config", "show", "--set", "serving.k=30"]
    output = RUNNER.invoke(main, arguments).output
    assert "\n  k: 30\n" in output
    assert "\n  queue_max: 9\n" in output
