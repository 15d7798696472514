"""docs/troubleshooting.md quotes messages that the program has."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/troubleshooting.md").read_text(encoding="utf-8")
MESSAGES = re.findall(r"^\| `([^`]+)` \|", PAGE, re.MULTILINE)
# PyTorch's own.
FOREIGN = {"CUDA out of memory"}


@pytest.fixture(scope="module")
def source() -> str:
    """Return the code with the strings joined that stand in neighbouring lines."""
    texts = [path.read_text(encoding="utf-8") for path in sorted((ROOT / "src").rglob("*.py"))]
    return re.sub(r'"\s*\n\s*f?"', "", "\n".join(texts))


def test_the_page_quotes_messages() -> None:
    assert len(MESSAGES) > 10
    assert set(MESSAGES) >= FOREIGN


@pytest.mark.parametrize("message", sorted(set(MESSAGES) - FOREIGN))
def test_each_part_of_a_message_is_in_the_code(message: str, source: str) -> None:
    parts = [part.strip(" ") for part in message.split("…") if len(part.strip(" ;:,.[]=")) > 3]
    assert parts
    assert [part for part in parts if part not in source] == []
