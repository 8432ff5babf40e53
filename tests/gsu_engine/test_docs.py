"""The example of docs/retrieval.md runs and gives what it says."""

import re
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parents[2] / "docs" / "retrieval.md"


def test_the_example_gives_what_its_comments_say() -> None:
    code = re.findall(r"```python\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)[0]
    names: dict[str, Any] = {}
    exec(compile(code, str(DOCS), "exec"), names)  # noqa: S102 - our own page
    assert names["result"].positions.tolist() == [[3, 0, 1]]
    assert names["result"].count.tolist() == [3]
    assert names["result"].recent_present.tolist() == [[True, False]]
