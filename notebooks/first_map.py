# %% [markdown]
# # A first map in five minutes
# The sample scene (Landsat 7, Great Salt Lake) is checked, mapped with the default bundle and looked at.
# Run in a folder where you may write; needs `pip install 'geoseg[view]'`.

# %%
from pathlib import Path

import geopandas
import matplotlib.pyplot as plt

import geoseg
from geoseg.io.sample import copy_sample

copy_sample(Path("scene.tif"), overwrite=True)
scene = geoseg.open_scene("scene.tif")
bundle = geoseg.load_bundle(geoseg.default_bundle_path())

# %% [markdown]
# Does the scene fit the model's contract?

# %%
for finding in geoseg.check_scene(scene, bundle.spec).findings:
    print(finding.verdict.value, finding.subject, finding.text)

# %%
summary = geoseg.predict(
    scene, bundle, geoseg.Outputs(polygons=Path("landcover.gpkg")), options=geoseg.PredictOptions(overwrite=True)
)
for name, area in summary.figures.area_m2.items():
    print(f"{name:<12} {area / 1e6:8.1f} km²")

# %%
colours = {c.name: c.colour for c in bundle.spec.legend}
polygons = geopandas.read_file("landcover.gpkg", layer="landcover")  # the other layer is the style
polygons.plot(color=polygons["class"].map(colours), figsize=(8, 8))
plt.show()
