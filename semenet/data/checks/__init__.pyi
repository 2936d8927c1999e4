from .copies import find_image as find_image
from .duplicates import DEFAULT_SIMILARITY as DEFAULT_SIMILARITY
from .duplicates import find_copies as find_copies
from .duplicates import find_near_pairs as find_near_pairs
from .duplicates import make_thumbnail as make_thumbnail
from .duplicates import similarity as similarity
from .manifest_check import check_manifest as check_manifest
from .report_tables import print_report as print_report
from .screening import screen_masks as screen_masks
from .screening import screen_rows as screen_rows
from .shortcuts import ORIGIN_COLUMNS as ORIGIN_COLUMNS
from .shortcuts import origin_table as origin_table
from .shortcuts import origin_tables as origin_tables

__all__ = [
    "DEFAULT_SIMILARITY",
    "ORIGIN_COLUMNS",
    "check_manifest",
    "find_copies",
    "find_image",
    "find_near_pairs",
    "make_thumbnail",
    "origin_table",
    "origin_tables",
    "print_report",
    "screen_masks",
    "screen_rows",
    "similarity",
]
