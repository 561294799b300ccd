"""The one exception that a user is meant to read."""


class UserError(ValueError):
    """Something in the user's input or surroundings prevents the work.

    The message is one clear sentence for a person: what is wrong, where, and what to do about it.
    The programs in `tools/` print it without a traceback and exit with a non-zero code; a pipeline
    that uses the library may catch it.
    """


def one_line(error: BaseException, longest: int = 500) -> str:
    """What another's exception says, for use inside a sentence: a damaged file may be quoted in it.

    Line breaks and whatever else moves the cursor of a terminal are replaced.
    """
    text = " ".join(str(error).split())[:longest]
    shown = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
    return shown or type(error).__name__
