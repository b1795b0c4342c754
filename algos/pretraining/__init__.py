"""Pretrainings: each runs once for all algorithms that start from it and is not compared itself."""
