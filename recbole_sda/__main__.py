"""``python -m recbole_sda``: see :mod:`recbole_sda.cli`."""

import sys

from recbole_sda.cli import main

sys.exit(main())
