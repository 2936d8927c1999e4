from .pages import mean_sd as mean_sd
from .pages import number as number
from .pages import percent as percent
from .pages import render_page as render_page
from .pages import with_interval as with_interval
from .panels import panel as panel
from .plots import COLOURS as COLOURS
from .plots import DASHES as DASHES
from .plots import confusion as confusion
from .plots import precision_recall_curves as precision_recall_curves
from .plots import reliability_diagram as reliability_diagram
from .plots import roc_curves as roc_curves
from .plots import training_curves as training_curves

__all__ = [
    "COLOURS",
    "DASHES",
    "confusion",
    "mean_sd",
    "number",
    "panel",
    "percent",
    "precision_recall_curves",
    "reliability_diagram",
    "render_page",
    "roc_curves",
    "training_curves",
    "with_interval",
]
