"""What takes too long for .ci/run runs with VIT_TRACE_ALL_MODELS=1 in the environment."""

import os

import pytest

EVERYTHING = bool(os.environ.get("VIT_TRACE_ALL_MODELS"))

RARELY = [pytest.mark.slow, pytest.mark.skipif(not EVERYTHING, reason="with VIT_TRACE_ALL_MODELS=1 only")]
"""Marks of a test that .ci/run leaves out."""
