"""Making a bundle: resolve, walk, choose, plan, fill, finish."""
