"""The entry point, and the one place where errors become exit codes.

Modules are imported in functions here: not before it is settled what a signal does meanwhile.
"""

from __future__ import annotations

import os
import signal
import sys

TYPE_CHECKING = False  # as in `typing`, whose import alone would take longer than all that comes before `main`
if TYPE_CHECKING:
    from types import FrameType

    from batchgen.errors import BatchgenError

OUTPUT_FAILED, INTERRUPTED, BROKEN_PIPE, TERMINATED = 1, 130, 141, 143


def main() -> None:
    """Runs the command line; never shows a traceback for what a user can cause."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)  # Windows has no SIGHUP
        if number and signal.getsignal(number) != signal.SIG_IGN:  # as nohup asks for, or a shell in the background
            signal.signal(number, leave_at_once)
    sys.exit(run_cli(sys.argv[1:]))


def leave_at_once(number: int, _frame: FrameType | None) -> None:
    """What a signal does wherever nobody else takes it: whatever is on disk is whole at every instant.

    No exception is raised: in the midst of an import Python makes another one of it, or a traceback.
    """
    os._exit(INTERRUPTED if number == signal.SIGINT else TERMINATED)


def run_cli(arguments: list[str]) -> int:
    """Runs the command line with these arguments and gives its exit code."""
    import click

    from batchgen.cli import cli
    from batchgen.errors import BatchgenError

    try:
        cli.main(arguments, prog_name="batchgen", standalone_mode=False)
    except click.ClickException as problem:
        problem.show()
        return problem.exit_code
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has gone; keep the interpreter from complaining about it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except OSError as problem:
        # Files and sockets have errors of their own; what is left is an output that takes nothing, as a full disk.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        click.echo(f"batchgen: the output cannot be written: {problem.strerror or problem}.", err=True)
        return OUTPUT_FAILED
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BatchgenError as problem:
        return _show(problem)
    except BaseExceptionGroup as group:
        inner = _only(group)
        if isinstance(inner, BatchgenError):
            return _show(inner)
        raise
    return 0


def _show(problem: BatchgenError) -> int:
    import click

    from batchgen.errors import ManifestInvalid
    from batchgen.report.listing import problems_text
    from batchgen.report.stream import showable

    lines = [problems_text(problem.problems)] if isinstance(problem, ManifestInvalid) else []
    lines += [f"batchgen: {problem}", *([f"  {problem.hint}"] if problem.hint else [])]
    click.echo(showable("\n".join(lines), sys.stderr), err=True)
    return problem.exit_code


def _only(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The one error inside task groups within task groups; the group itself where there are several."""
    inner: BaseException = group
    while isinstance(inner, BaseExceptionGroup) and len(inner.exceptions) == 1:
        inner = inner.exceptions[0]
    return inner


if __name__ == "__main__":
    main()
