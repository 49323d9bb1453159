"""Sources: what a run's search trees were made of, so that rows of two policies are never taken for one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from o1coder_gym.errors import WeightsError
from o1coder_gym.models.lookup import KNOWN_MODELS, find_model
from o1coder_gym.runs.provenance import artefact_path, content_hash, file_hash, model_hash


def search_source(
    config: Mapping[str, Any], trees: int, versions: Mapping[str, str], **further: Any
) -> dict[str, Any]:
    """Returns the source of a run's trees: its plan, what its models held, and the versions.

    A folder keeps its name when another model is saved there, so the name alone would take the rows of two
    policies for those of one.

    Args:
        config: The plan, JSON-able; models are its ``policy``, ``scorer`` and ``generator`` of tests.
        trees: How many the run has.
        versions: Of packages.
        further: Further properties that distinguish runs.
    """
    specs = [spec for name in ("policy", "scorer", "generator") if (spec := config.get(name))]
    # By content: a name says where a model lies, not what it is.
    contents = {spec: found for spec in specs if (found := content_of(spec)) is not None}
    return {
        **further,
        "config": dict(config),
        "versions": dict(versions),
        "trees": trees,
        "contents": contents,
    }


def content_of(spec: str) -> str | None:
    """Returns the hash of the weights or the file that a spec names, in hex; None where there are none here.

    Args:
        spec: Such as ``hf:RUN/model``, ``vllm:owner/model?…``, ``scripted:FILE`` or ``FILE.py:NAME``.
    """
    name = str(artefact_path(spec))
    if name in KNOWN_MODELS:
        return KNOWN_MODELS[name].weights.sha256
    try:
        found = find_model(name) or Path(name)
    except WeightsError:  # a folder, but of no model
        return None
    return content_hash([[found.name, file_hash(found)]]) if found.is_file() else model_hash(found)
