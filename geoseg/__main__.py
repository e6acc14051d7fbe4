"""`python -m geoseg` is `geoseg`."""

from geoseg.cli.app import main

main()
