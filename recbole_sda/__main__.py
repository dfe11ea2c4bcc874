"""``python -m recbole_sda``: see :mod:`recbole_sda.cli.main`."""

import sys

from recbole_sda.cli.main import main

sys.exit(main())
