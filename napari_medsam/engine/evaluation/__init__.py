"""Simulated users and scores: how good a model is, interaction by interaction."""

from napari_medsam.engine.evaluation.baseline import EllipsoidSegmenter, inscribed_ellipsoid
from napari_medsam.engine.evaluation.cases import Case, CasesError, load_cases
from napari_medsam.engine.evaluation.metrics import NSD_TOLERANCE, dice, nsd
from napari_medsam.engine.evaluation.protocols import BOX_STEPS, CHALLENGE, CLICK_STEPS, PROMPTS, PROTOCOLS, Protocol
from napari_medsam.engine.evaluation.report import format_table, summarise, write_csv, write_json, write_plot
from napari_medsam.engine.evaluation.run import Step, StructureResult, evaluate_cases
from napari_medsam.engine.evaluation.users import next_click, tight_box

__all__ = [
    "BOX_STEPS",
    "CHALLENGE",
    "CLICK_STEPS",
    "NSD_TOLERANCE",
    "PROMPTS",
    "PROTOCOLS",
    "Case",
    "CasesError",
    "EllipsoidSegmenter",
    "Protocol",
    "Step",
    "StructureResult",
    "dice",
    "evaluate_cases",
    "format_table",
    "inscribed_ellipsoid",
    "load_cases",
    "next_click",
    "nsd",
    "summarise",
    "tight_box",
    "write_csv",
    "write_json",
    "write_plot",
]
