"""Public names of the package. Made by `python -m mira_nb.stubs`."""

from .api import Resources as Resources
from .api import embedded_data as embedded_data
from .api import load_model as load_model
from .api import pair as pair
from .api import read as read
from .api import prepare as prepare
from .api import tuning_rna as tuning_rna
from .api import tuning_atac as tuning_atac
from .api import topics_rna as topics_rna
from .api import topics_atac as topics_atac
from .api import joint as joint
from .api import enrichment as enrichment
from .api import motifs as motifs
from .api import trajectory as trajectory
from .api import regulation as regulation
from .api import drivers as drivers
from .api import comparisons as comparisons
from .version import __version__ as __version__
