"""Everything Dagster loads: the families' definitions, merged."""

from dagster import Definitions

from varro_assets.defs.statbank import statbank_definitions
from varro_assets.settings import Settings

defs = Definitions.merge(statbank_definitions(Settings.load()))
