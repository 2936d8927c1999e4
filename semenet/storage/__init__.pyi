from .atomic import OutputError as OutputError
from .atomic import new_folder as new_folder
from .atomic import replacing as replacing
from .atomic import unique_stems as unique_stems
from .csv_cells import csv_text as csv_text
from .csv_cells import escape_cell as escape_cell
from .csv_cells import unescape_cell as unescape_cell
from .csv_cells import unescape_table as unescape_table
from .file_names import as_paths as as_paths
from .file_names import shown_name as shown_name
from .hashing import file_sha256 as file_sha256

__all__ = [
    "OutputError",
    "as_paths",
    "csv_text",
    "escape_cell",
    "file_sha256",
    "new_folder",
    "replacing",
    "shown_name",
    "unescape_cell",
    "unescape_table",
    "unique_stems",
]
