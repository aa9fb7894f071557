"""The runbooks as tests read them: sections, queries, commands."""

from __future__ import annotations

import re
from dataclasses import dataclass

from monitoring.render import HERE

FOLDER = HERE / "runbooks"
#: In this order.
HEADINGS = ["What it means", "Look first", "Likely causes", "Mend", "Silence"]


@dataclass(frozen=True)
class Runbook:
    name: str
    text: str

    @property
    def sections(self) -> dict[str, str]:
        parts = re.split(r"^## (.+)$", self.text, flags=re.MULTILINE)
        return dict(zip(parts[1::2], parts[2::2], strict=True))

    def blocks(self, section: str, language: str) -> list[str]:
        """The code blocks of a language in a section, without their indentation."""
        found = re.findall(
            rf"^ *```{language}\n(.*?)^ *```$", self.sections[section], re.MULTILINE | re.DOTALL
        )
        return [re.sub(r"^ {3}", "", block, flags=re.MULTILINE).strip() for block in found]


RUNBOOKS = {file.stem: Runbook(file.stem, file.read_text()) for file in FOLDER.glob("*.md")}
