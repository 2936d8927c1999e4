from .loop.fit import train as train
from .options import DataOptions as DataOptions
from .options import RunOptions as RunOptions
from .presets import with_preset as with_preset
from .recipe import Recipe as Recipe
from .recipe import RecipeError as RecipeError
from .recipe import find_recipe as find_recipe
from .recipe import list_recipes as list_recipes
from .run_folder.run import Run as Run
from .stop_signals import TrainingStopped as TrainingStopped

__all__ = [
    "DataOptions",
    "Recipe",
    "RecipeError",
    "Run",
    "RunOptions",
    "TrainingStopped",
    "find_recipe",
    "list_recipes",
    "train",
    "with_preset",
]
