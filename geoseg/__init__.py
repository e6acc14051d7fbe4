"""geoseg turns multispectral scenes into maps."""
