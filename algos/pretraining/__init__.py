"""Trainings that several algorithms start from, run once for all of them; not compared themselves."""
