"""Where tasks come from: data sets, splits, episodes and distribution shifts. Pure tensors out."""
