from .atomic import OutputError as OutputError
from .atomic import check_output_folder as check_output_folder
from .atomic import new_folder as new_folder
from .atomic import output_file as output_file
from .atomic import output_folder as output_folder
from .atomic import replacing as replacing
from .atomic import unique_stems as unique_stems
from .atomic import write_bytes as write_bytes
from .atomic import write_text as write_text
from .atomic import write_together as write_together
from .file_names import as_paths as as_paths
from .file_names import shown_name as shown_name
from .hashing import file_sha256 as file_sha256

__all__ = [
    "OutputError",
    "as_paths",
    "check_output_folder",
    "file_sha256",
    "new_folder",
    "output_file",
    "output_folder",
    "replacing",
    "shown_name",
    "unique_stems",
    "write_bytes",
    "write_text",
    "write_together",
]
