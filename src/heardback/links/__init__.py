"""Everything about one HTML text: its links and why each is tracked or not, the pixel's place, the edits."""

from heardback.links.page import Edit, Link, Page, Rules, apply, edits, read
from heardback.links.targets import target

__all__ = ["Edit", "Link", "Page", "Rules", "apply", "edits", "read", "target"]
