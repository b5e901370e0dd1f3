"""Observations to tokens: an embedder a space (`inputs.EMBEDDERS`)."""

from perceiver_policy.policy.inputs.boxes import BoxScale, PictureEmbedder, RowsEmbedder, VectorEmbedder
from perceiver_policy.policy.inputs.entities import FeatureReader, NumbersEmbedder, PlanesEmbedder, UnitsEmbedder
from perceiver_policy.policy.inputs.inputs import EMBEDDERS, Inputs, Reading, Tokens
from perceiver_policy.policy.inputs.positions import POSITION_RESOLUTION, cell_positions
from perceiver_policy.policy.inputs.sets import DiscreteEmbedder, counts_of

__all__ = [
    "EMBEDDERS",
    "POSITION_RESOLUTION",
    "BoxScale",
    "DiscreteEmbedder",
    "FeatureReader",
    "Inputs",
    "NumbersEmbedder",
    "PictureEmbedder",
    "PlanesEmbedder",
    "Reading",
    "RowsEmbedder",
    "Tokens",
    "UnitsEmbedder",
    "VectorEmbedder",
    "cell_positions",
    "counts_of",
]
