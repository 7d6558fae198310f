"""The forms of a run's stages, as presets see them: what was changed in them, and values put into them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mira_nb.stages.describe import format_value

from .form import ParamsForm
from .preset_bar import RUN, Values
from .texts import phrase, words


class StageForms:
    """Forms by stage.

    Parameters
    ----------
    stage
        The stage on whose panel the presets stand.
    form
        Returns the form of a stage, None where it has none.
    stages
        The stages whose forms can be set from there.
    titles
        Names of the stages for the reader.
    """

    def __init__(
        self,
        stage: str,
        form: Callable[[str], ParamsForm | None],
        *,
        stages: Sequence[str] = (),
        titles: Mapping[str, str] | None = None,
    ) -> None:
        self.stage, self._form = stage, form
        self.stages = tuple(stages) or (stage,)
        self._titles = titles or {}

    def changed_parameters(self, scope: str) -> dict[str, dict[str, Any]]:
        """Return the values that differ from the defaults; a stage without any is there, so that it is set back.

        Raises
        ------
        ParameterError
            An entry is wrong.
        """
        out = {}
        for name in self.stages if scope == RUN else (self.stage,):
            form = self._form(name)
            if form is not None:
                values = form.values()
                out[name] = {parameter: values[parameter] for parameter in form.changed}
        return out

    def apply_parameters(self, values: Values) -> list[str]:
        """Put values into the forms of the stages that are named; say what changed, and what is not known here."""
        said: list[str] = []
        for name, wanted in values.items():
            form = self._form(name) if name in self.stages else None
            if form is None:
                said.append(phrase("presets", "unknown", where=name))
                continue
            before = form.raw()
            form.set_values(wanted)
            after = form.raw()
            for spec in form.specs:
                if before[spec.name] != after[spec.name]:
                    old, new = (format_value(item[spec.name]) or words("presets")["empty"] for item in (before, after))
                    facts = {"title": self._titles.get(name, name), "label": spec.label, "before": old, "after": new}
                    said.append(phrase("presets", "change", **facts))
            unknown = [f"{name}.{item}" for item in wanted if item not in form.fields]
            said += [phrase("presets", "unknown", where=item) for item in unknown]
        return said
