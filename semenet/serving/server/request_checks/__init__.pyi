from .image_files import sized_inputs as sized_inputs
from .json_numbers import number_array as number_array

__all__ = ["number_array", "sized_inputs"]
