from .remedies import remedy_for_missing as remedy_for_missing
from .summaries import description_lines as description_lines

__all__ = ["description_lines", "remedy_for_missing"]
