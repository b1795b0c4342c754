"""The sections of the report: one file each, found by file name (bench/report/section.py says what a file declares)."""
