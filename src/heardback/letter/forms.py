"""What differs from copy to copy of a letter: texts with a hole where a recipient's token goes, and their places.

Which texts, and what their tokens say, is in mint; where they stand in a letter in texts and unsubscribe.
"""

from msgspec import Struct

from heardback.tokens import Blank

HOLE = "\0"


class Form(Struct, frozen=True, gc=False):
    """A text with one hole, and the token that goes there."""

    text: str
    blank: Blank

    def length(self, size: int) -> int:
        """Say how many characters it has for a recipient of so many bytes."""
        return len(self.text) - len(HOLE) + self.blank.length(size)

    def filled(self, recipient: str) -> str:
        """Give the text for one recipient."""
        return self.text.replace(HOLE, self.blank.seal(recipient))


def short(form: Form | None, longest: int, size: int) -> Form | None:
    """Give the form, unless it gets longer than that for a recipient of so many bytes."""
    return form if form and form.length(size) <= longest else None


class Slot(Struct, frozen=True, gc=False):
    """Put `text` in the place of `[start:end]`, in its hole the token of `blank`; without a blank there is no hole."""

    start: int
    end: int
    text: str
    blank: Blank | None

    def filled(self, recipient: str) -> str:
        """Give the text for one recipient."""
        return self.text.replace(HOLE, self.blank.seal(recipient)) if self.blank else self.text
