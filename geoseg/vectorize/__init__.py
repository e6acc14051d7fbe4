"""Label rasters to polygons."""
