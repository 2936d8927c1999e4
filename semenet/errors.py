"""The error that answers a user, as against one that betrays a defect."""


class SemenetError(ValueError):
    """Something handed in cannot be used. The message has the rule, what was received, and the remedy.

    Every error that semenet raises on purpose is one; the command line prints it without a traceback.
    """
