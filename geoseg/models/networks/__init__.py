"""Networks and their parts that segmentation_models_pytorch lacks, a file each."""
