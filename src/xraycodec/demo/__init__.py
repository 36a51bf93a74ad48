"""A demonstration on a synthetic radiograph."""
