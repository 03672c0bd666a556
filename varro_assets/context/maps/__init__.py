"""Maps: boundaries of areas as GeoParquet, by the codes of the dimensions they belong to."""
