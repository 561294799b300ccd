"""The one exception that a user is meant to read."""


class UserError(ValueError):
    """Something in the user's input or surroundings prevents the work.

    The message is one clear sentence for a person: what is wrong, where, and what to do about it.
    The programs in `tools/` print it without a traceback and exit with a non-zero code; a pipeline
    that uses the library may catch it.
    """
