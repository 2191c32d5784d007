"""The errors that heardback raises. Each class's docstring is its default message."""


class HeardbackError(Exception):
    """Something in heardback went wrong."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or (self.__doc__ or "").strip())


class SettingsError(HeardbackError):
    """The settings cannot be used."""

    def __init__(self, faults: tuple[str, ...] = ()) -> None:
        super().__init__("\n".join(faults) or None)
        self.faults = faults


class BadToken(HeardbackError):
    """This token was not made by us, or not for this."""


class BadLetter(HeardbackError):
    """This letter cannot be read."""


class StoreError(HeardbackError):
    """The store cannot do this now."""
