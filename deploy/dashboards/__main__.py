"""Write every board as JSON: `python -m deploy.dashboards [directory]`."""

import sys
from pathlib import Path

from deploy.dashboards.boards import DIRECTORY, files


def main(directory: Path) -> None:
    """Write the boards and remove what is none any more."""
    directory.mkdir(parents=True, exist_ok=True)
    made = files()
    for path in directory.glob("*.json"):
        if path.name not in made:
            path.unlink()
    for name, text in made.items():
        (directory / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else DIRECTORY)
