from .served_reports import ServedReports as ServedReports

__all__ = ["ServedReports"]
