"""A StatBank that runs on this machine: for the demo, the tests and offline work.

What belongs here: everything about pretending to be the publisher, and nothing about reading from one. The package
imports nothing of the rest of ``varro_assets``, so that a misunderstanding of the API cannot hide in code shared by
both sides.

Structure (ids, codes, labels, period grammars, errors, headers) follows the publisher; every value is invented,
alike in every process, and every catalogue text says so. The ``Server`` header begins with ``varro-simulator``.
"""

from __future__ import annotations

from varro_assets.simulator.faults import Fault, UnknownFault
from varro_assets.simulator.publications import UnknownPublication
from varro_assets.simulator.simulator import Simulator
from varro_assets.simulator.table import Table
from varro_assets.simulator.universe import Universe

__all__ = ["Fault", "Simulator", "Table", "Universe", "UnknownFault", "UnknownPublication"]
