"""Between our labelled scenes and torchgeo's datasets, both ways."""
