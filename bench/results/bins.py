"""Bins of a classifier's confidence."""

BINS = 15
"""Number of equally wide bins in which calibration is measured, as in Guo et al. 2017."""
