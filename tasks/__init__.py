"""Where tasks come from: data sets, splits, episodes and distribution shifts. Everything here returns plain tensors."""
