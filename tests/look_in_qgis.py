"""What QGIS makes of files: run by a Python that has qgis.core, with a JSON list of requests; prints a JSON list.

A request is {"layer": PATH, "kind": "vector" or "raster", "style": PATH of an .sld or .qml, if any, "picture": PATH}.
"""

from __future__ import annotations

import json
import sys

from qgis.core import (
    QgsApplication,
    QgsMapRendererSequentialJob,
    QgsMapSettings,
    QgsProject,
    QgsRasterLayer,
    QgsVectorLayer,
)
from qgis.PyQt.QtCore import QSize
from qgis.PyQt.QtGui import QColor


def open_layer(request):
    if request["kind"] == "raster":
        return QgsRasterLayer(request["layer"], "layer", "gdal")
    return QgsVectorLayer(request["layer"], "layer", "ogr")


def apply_style(layer, path):
    """Success; as QGIS does for a file of either kind."""
    return (layer.loadSldStyle(path) if path.endswith(".sld") else layer.loadNamedStyle(path))[1]


def classes_of(renderer):
    """Value or rule, label and colour of every entry of the legend."""
    if renderer.type() == "paletted":
        return [(entry.value, entry.label, entry.color.name()) for entry in renderer.classes()]
    if renderer.type() == "RuleRenderer":
        rules = renderer.rootRule().children()
        return [(rule.filterExpression(), rule.label(), rule.symbol().color().name()) for rule in rules]
    return [(c.value(), c.label(), c.symbol().color().name()) for c in renderer.categories()]


def colours_of(layer, picture):
    """The colours of at least a hundredth of the pixels that QGIS draws over the layer's extent."""
    settings = QgsMapSettings()
    settings.setLayers([layer])
    settings.setDestinationCrs(layer.crs())
    settings.setExtent(layer.extent())
    settings.setOutputSize(QSize(200, 200))
    settings.setBackgroundColor(QColor("#ffffff"))
    job = QgsMapRendererSequentialJob(settings)
    job.start()
    job.waitForFinished()
    image = job.renderedImage()
    image.save(picture)
    counts = {}
    for row in range(image.height()):
        for col in range(image.width()):
            name = image.pixelColor(col, row).name()
            counts[name] = counts.get(name, 0) + 1
    return sorted(name for name, count in counts.items() if count > 400)


def look(request):
    layer = open_layer(request)
    found = {"valid": layer.isValid(), "crs": layer.crs().authid()}
    if not layer.isValid():
        return found
    if request.get("style"):
        found["styled"] = apply_style(layer, request["style"])
    QgsProject.instance().addMapLayer(layer)
    found["renderer"] = layer.renderer().type()
    found["attribute"] = getattr(layer.renderer(), "classAttribute", lambda: None)()
    if found["renderer"] in {"paletted", "RuleRenderer", "categorizedSymbol"}:
        found["classes"] = classes_of(layer.renderer())
    if request["kind"] == "vector":
        found["features"] = layer.featureCount()
        found["fields"] = layer.fields().names()
    found["colours"] = colours_of(layer, request["picture"])
    return found


def main():
    application = QgsApplication([], GUIenabled=False)
    application.initQgis()
    print(json.dumps([look(request) for request in json.loads(sys.argv[1])]))  # noqa: T201
    application.exitQgis()


if __name__ == "__main__":
    main()
