"""Clean and degraded pairs, each made from (recipe, seed, number) alone."""
