from .classifier_audit import audit as audit
from .saved_audit import read_audit as read_audit
from .tables import audit_tables as audit_tables

__all__ = ["audit", "audit_tables", "read_audit"]
