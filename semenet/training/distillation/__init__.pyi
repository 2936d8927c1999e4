from .distillation import Distillation as Distillation
from .distillation import distil as distil
from .teacher import TeacherError as TeacherError
from .teacher import load_teacher as load_teacher

__all__ = [
    "Distillation",
    "TeacherError",
    "distil",
    "load_teacher",
]
