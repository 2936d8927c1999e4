from .image_report import ImageReport as ImageReport
from .image_report import NetworkReport as NetworkReport
from .look_at_images import look as look
from .report_list import ImageReports as ImageReports

__all__ = ["ImageReport", "ImageReports", "NetworkReport", "look"]
