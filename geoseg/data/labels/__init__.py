"""Labels on a scene's grid, made window by window: from label rasters, features and class probabilities."""

from geoseg.data.labels.layers import open_labels
from geoseg.data.labels.options import LabelOptions, LabelsField, LabelSource, as_label_options

__all__ = ["LabelOptions", "LabelSource", "LabelsField", "as_label_options", "open_labels"]
