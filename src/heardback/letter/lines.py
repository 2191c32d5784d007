"""How long the lines of a 7bit or 8bit body get as changes are made to it."""

LONGEST = 998
"""Octets of a line, its line ending aside (RFC 5322, section 2.1.1)."""
FAR = LONGEST + 1


def longest(body: bytes) -> int:
    """Say how many octets the longest line of a body has."""
    return max(len(line.removesuffix(b"\r")) for line in body.split(b"\n"))


class Lines:
    """The lines of one body. Spans that are changed may come in any order."""

    def __init__(self, body: bytes) -> None:
        """Begin with the lines as they are."""
        self._body = body
        self._grown: dict[int, int] = {}

    def take(self, start: int, end: int, length: int, *, must: bool = False) -> bool:
        """Say whether so many octets fit in place of a span; if so, or if they must, they count from now on."""
        # No more of a line is looked at than it may have.
        body, low = self._body, start - FAR if start > FAR else 0
        first = body.rfind(b"\n", low, start) + 1 or low
        last = body.find(b"\n", end, end + FAR)
        if last < 0:
            last = min(end + FAR, len(body))
        second = body.rfind(b"\n", start, end) + 1
        grown = self._grown.get(first, 0) + (self._grown.get(second, 0) if second else 0) + length - (end - start)
        if last - first + grown > LONGEST and not must:
            return False
        self._grown[first] = grown
        if second:  # what stood on two lines is one line now
            self._grown[second] = grown + second - first
        return True
