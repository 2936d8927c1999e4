from .arguments import LETTERS as LETTERS
from .arguments import PhantomError as PhantomError
from .dataset import CLASSES as CLASSES
from .dataset import write_phantoms as write_phantoms
from .dicom_instance import dicom_instance as dicom_instance
from .frontal import Phantom as Phantom
from .frontal import draw_radiograph as draw_radiograph
from .lateral import draw_lateral_radiograph as draw_lateral_radiograph
from .synthetic_rows import count_phantoms as count_phantoms
from .synthetic_rows import synthetic_sentence as synthetic_sentence

__all__ = [
    "CLASSES",
    "LETTERS",
    "Phantom",
    "PhantomError",
    "count_phantoms",
    "dicom_instance",
    "draw_lateral_radiograph",
    "draw_radiograph",
    "synthetic_sentence",
    "write_phantoms",
]
