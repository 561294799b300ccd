"""How every program here starts and how it fails: one sentence instead of a traceback."""

import errno
import os
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

from absl import app, flags, logging

from qtdog_tf.errors import UserError, one_line

EXIT_USER_ERROR = 2
EXIT_INTERRUPTED = 130

_CANNOT_WRITE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)
# A name that a person gave and that cannot be one, or a place where nobody let this program in:
# whether it was to be read or written these do not say.
_WRONG_PLACE = (errno.EACCES, errno.ENOTDIR, errno.EEXIST, errno.EISDIR, errno.ENAMETOOLONG)


def run_tool(
    main: Callable[[list[str]], None], *, resumes: bool = False, place: str = "the last evaluation"
) -> None:
    """Runs `main` under absl; expected failures become one sentence on stderr.

    Args:
        main: the program, called with the positional arguments (the program's name first).
        resumes: whether the same command goes on with what an interrupted one left.
        place: where it goes on from.
    """

    def guarded(argv: list[str]) -> None:
        try:
            main(argv)
        except UserError as error:
            fail(str(error))
        except KeyboardInterrupt:
            how = f"the same command goes on from {place}" if resumes else "start again"
            print(f"\ninterrupted; {how}", file=sys.stderr)
            sys.exit(EXIT_INTERRUPTED)
        except BrokenPipeError:
            # The reader of our output, `head` for example, has seen enough.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        except OSError as error:
            sentence = _about_the_disk(error)
            if sentence is None:
                raise
            fail(sentence)

    logging.set_verbosity(logging.WARNING)
    app.run(guarded, flags_parser=parse_flags)


def _about_the_disk(error: OSError) -> str | None:
    """What a person can do something about, as a sentence; None for other errors."""
    where = f" at {error.filename}" if error.filename else ""
    if error.errno in _CANNOT_WRITE:
        return f"cannot write{where}: {os.strerror(error.errno)}; free or choose another folder"
    if error.errno in _WRONG_PLACE:
        reason = os.strerror(error.errno)
        return f"cannot read or write{where}: {reason}; choose another place, or make this one fit"
    return None


def parse_flags(argv: Sequence[str]) -> list[str]:
    """Reads the flags of a program; what is wrong with one becomes one sentence."""
    try:
        return read_flags(argv, flags.FLAGS)
    except UserError as error:
        fail(str(error))


def read_flags(argv: Sequence[str], values: flags.FlagValues) -> list[str]:
    """Reads flags, those in flagfiles too.

    Args:
        argv: the command line, the program's name first.
        values: the flags that there are.

    Returns:
        What is left of the command line.

    Raises:
        UserError: if a flag does not exist or has no such value, or a flagfile is no text.
    """
    try:
        return values(argv)
    except flags.Error as error:
        raise UserError(f"{one_line(error)}; --help explains the flags") from error
    except UnicodeDecodeError as error:
        raise UserError(
            f"a flagfile is no UTF-8 text ({one_line(error)}): one --flag=value a line is needed"
        ) from error
    except (OSError, ValueError) as error:  # a name with a zero byte, a number of 5,000 digits
        raise UserError(f"a flag cannot be read: {one_line(error)}") from error
    except RecursionError as error:
        raise UserError("flagfiles name one another too deeply") from error


def fail(sentence: str) -> NoReturn:
    """Prints `error: <sentence>` on stderr and exits with code 2."""
    print(f"error: {sentence}", file=sys.stderr)
    sys.exit(EXIT_USER_ERROR)


def refuse_arguments(argv: list[str]) -> None:
    """Refuses positional arguments, which are usually a flag that lost its dashes.

    Raises:
        UserError: if there are any.
    """
    if len(argv) > 1:
        raise UserError(f"unexpected argument {argv[1]!r}: every setting is a --flag=value")
