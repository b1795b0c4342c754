"""Trained learners on your own pictures, outside the benchmark."""
