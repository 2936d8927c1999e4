from .html_report import render_report as render_report
from .model_card import render_card as render_card
from .zoo_card import render_zoo_card as render_zoo_card

__all__ = ["render_card", "render_report", "render_zoo_card"]
