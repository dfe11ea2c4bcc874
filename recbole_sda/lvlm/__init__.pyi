from recbole_sda.lvlm.api import adapt as adapt
from recbole_sda.lvlm.api import extract as extract
from recbole_sda.lvlm.moda import MoDAConfig as MoDAConfig

__all__ = ["MoDAConfig", "adapt", "extract"]
