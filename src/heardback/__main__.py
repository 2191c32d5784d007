"""`python -m heardback`: the same as the command `heardback`."""

import sys

from heardback.cli import main

sys.exit(main())
