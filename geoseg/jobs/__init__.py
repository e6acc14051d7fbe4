"""The same work on a Dask cluster: one scene over many workers."""
