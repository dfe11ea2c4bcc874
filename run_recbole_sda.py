"""Train and evaluate one model: ``python run_recbole_sda.py --model=SASRec_SDA --dataset=Amazon_Sports``; see --help."""

import sys

from recbole_sda.cli.run import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
