"""Progress bars for long work, on stderr, so that what a script reads stays clean."""


def track(steps, description, *, shown):
    """The steps, one by one, with a progress bar if ``shown``.

    Args:
        steps: sequence.
        description: what is being done, in a word or two.
        shown: False gives the steps back as they are.
    """
    if not shown:
        return steps
    from rich.console import Console
    from rich.progress import track as rich_track

    console = Console(stderr=True)
    bare = not console.is_terminal  # in a log file a bar would be empty lines
    return rich_track(steps, description=description, console=console, transient=True, disable=bare)
