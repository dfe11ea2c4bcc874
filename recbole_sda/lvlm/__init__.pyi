from recbole_sda.lvlm.api import adapt as adapt
from recbole_sda.lvlm.api import extract as extract
from recbole_sda.lvlm.families import ModelFamily as ModelFamily
from recbole_sda.lvlm.families import register_family as register_family
from recbole_sda.lvlm.moda import MoDAConfig as MoDAConfig

__all__ = ["MoDAConfig", "ModelFamily", "adapt", "extract", "register_family"]
