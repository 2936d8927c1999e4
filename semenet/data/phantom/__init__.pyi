from .arguments import LETTERS as LETTERS
from .arguments import PhantomError as PhantomError
from .dataset import CLASSES as CLASSES
from .dataset import write_phantoms as write_phantoms
from .frontal import Phantom as Phantom
from .frontal import draw_radiograph as draw_radiograph
from .lateral import draw_lateral_radiograph as draw_lateral_radiograph

__all__ = [
    "CLASSES",
    "LETTERS",
    "Phantom",
    "PhantomError",
    "draw_lateral_radiograph",
    "draw_radiograph",
    "write_phantoms",
]
