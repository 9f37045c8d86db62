"""Long work: its progress bars, on stderr, so that what a script reads stays clean; and its threads."""

import contextlib


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


@contextlib.contextmanager
def counter(total, description, *, done=0, shown):
    """Yield a function to call, with a line of text to be kept, after each step of long work.

    Args:
        total: number of steps.
        description: what is being done, in a word or two.
        done: steps that were done before.
        shown: False shows nothing.
    """
    if not shown:
        yield lambda text: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(description, total=total, completed=done)

        def advance(text):
            console.print(text, soft_wrap=True, highlight=False, markup=False)
            bar.advance(task)

        yield advance


def in_threads(function, items, description, *, shown):
    """Results of a function of each item, in order, computed by as many threads as there are cores.

    For functions that spend their time in libraries which let other threads work meanwhile.

    Args:
        function: of one item.
        items: sequence.
        description, shown: see ``track``.
    """
    import os
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        waiting = [pool.submit(function, item) for item in items]
        try:
            return [future.result() for future in track(waiting, description, shown=shown)]
        except BaseException:
            pool.shutdown(cancel_futures=True)  # else an error would be told only when all are done
            raise
