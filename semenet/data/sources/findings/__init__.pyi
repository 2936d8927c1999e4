from .chexpert import read_chexpert as read_chexpert
from .hannover import read_hannover as read_hannover
from .nih import read_nih as read_nih
from .padchest import read_padchest as read_padchest
from .row_rules import RowRules as RowRules
from .rsna import read_rsna as read_rsna
from .siim import read_siim as read_siim
from .vindr import read_vindr as read_vindr

__all__ = [
    "RowRules",
    "read_chexpert",
    "read_hannover",
    "read_nih",
    "read_padchest",
    "read_rsna",
    "read_siim",
    "read_vindr",
]
