"""The ways in which work ends early: refused, with a sentence for people, and cancelled."""


class Refused(ValueError):
    """What was asked cannot be done; the message is one sentence for people: what was given, what is possible, what to do."""


class NoRoom(Refused):
    """The models would fit in memory, but not beside those that other work uses just now."""


class NotAlike(Refused):
    """Two models do not read a text as the same tokens, so that it cannot be laid side by side token by token."""


class Cancelled(Exception):
    """Nobody wants this result any more; raised by `Report.poll` and passed through unchanged."""
