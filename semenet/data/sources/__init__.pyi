from .class_folders import read_class_folders as read_class_folders
from .combining.combine import combine_manifests as combine_manifests
from .covid_chestxray import read_covid_chestxray as read_covid_chestxray
from .covidx import read_covidx as read_covidx
from .findings.chexpert import read_chexpert as read_chexpert
from .findings.hannover import read_hannover as read_hannover
from .findings.nih import read_nih as read_nih
from .findings.padchest import read_padchest as read_padchest
from .findings.row_rules import RowRules as RowRules
from .findings.rsna import read_rsna as read_rsna
from .findings.siim import read_siim as read_siim
from .findings.vindr import read_vindr as read_vindr
from .kermany import parse_kermany_name as parse_kermany_name
from .kermany import read_kermany as read_kermany
from .nlm_lungs import read_montgomery as read_montgomery
from .nlm_lungs import read_shenzhen as read_shenzhen
from .paper import PAPER_COUNTS as PAPER_COUNTS
from .paper import compare_counts as compare_counts
from .paper import draw_dataset1 as draw_dataset1
from .paper import draw_dataset2 as draw_dataset2
from .paper import draw_lung_pairs as draw_lung_pairs
from .source_rows import SourceError as SourceError
from .source_rows import SourceNotFoundError as SourceNotFoundError
from .source_rows import SourceWarning as SourceWarning
from .v7_darwin import covid_chestxray_patients as covid_chestxray_patients
from .v7_darwin import read_v7 as read_v7

__all__ = [
    "PAPER_COUNTS",
    "RowRules",
    "SourceError",
    "SourceNotFoundError",
    "SourceWarning",
    "combine_manifests",
    "compare_counts",
    "covid_chestxray_patients",
    "draw_dataset1",
    "draw_dataset2",
    "draw_lung_pairs",
    "parse_kermany_name",
    "read_chexpert",
    "read_class_folders",
    "read_covid_chestxray",
    "read_covidx",
    "read_hannover",
    "read_kermany",
    "read_montgomery",
    "read_nih",
    "read_padchest",
    "read_rsna",
    "read_shenzhen",
    "read_siim",
    "read_v7",
    "read_vindr",
]
