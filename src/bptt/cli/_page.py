"""`report.html` at a run's end, as every command that ends one writes and names it."""

from pathlib import Path

PAGE = "report.html"


def write(folder: Path) -> str | None:
    """Write the page of a run folder; a sentence if that cannot be, for the numbers are there without it.

    Example:
        >>> from pathlib import Path
        >>> write(Path("no-such-folder")).partition(" (")[0]
        'report.html could not be written'
    """
    try:
        from bptt.report.page import write_page

        write_page(folder)
    except Exception as error:
        # `bptt report DIR` makes the page another time.
        return f"{PAGE} could not be written ({type(error).__name__}: {error})"
    return None


def where(folder: Path | str) -> str | None:
    """The page's path, seen from where the folder's is; None if there is none.

    Example:
        >>> print(where("no-such-folder"))
        None
    """
    page = Path(folder) / PAGE
    return str(page) if page.is_file() else None
