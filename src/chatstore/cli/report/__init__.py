"""The page about a migrate or a verify that a team can keep: one file, which asks nothing of any network."""

from chatstore.cli.report.kept import ReportPath, kept
from chatstore.cli.report.record import Record

__all__ = ["Record", "ReportPath", "kept"]
