"""The tasks, from their own files: what is asked, in which size, and what is published."""

from _shared import table as markdown

from bptt import tasks


def table() -> str:
    """A row a task, then each task's page."""
    found = tasks.table().values()
    rows = [
        [
            f"[`{entry.name}`](#{entry.name})",
            first_line(entry),
            _sizes(entry.small.task),
            _sizes(entry.paper.task),
        ]
        for entry in found
    ]
    parts = [markdown(["task", "what is asked", "small", "as published"], rows)]
    for entry in found:
        said = "".join(f"- {line}\n" for line in (*entry.published, *entry.differs))
        about = entry.page.split("\n\n")
        parts.append(
            f"## {entry.name}\n\n{about[0]} {about[1]}\n\nPublished size: {entry.paper.source}.\n\n{said.rstrip()}"
        )
    return "\n\n".join(parts)


def first_line(entry: tasks.Entry) -> str:
    return " ".join(entry.page.split("\n\n")[0].split())


def _sizes(settings: object) -> str:
    assert isinstance(settings, dict)
    return ", ".join(f"{name} {value}" for name, value in settings.items()) or "one size"
