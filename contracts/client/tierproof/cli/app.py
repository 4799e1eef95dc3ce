"""The tree of commands. Other distributions add theirs through the entry-point groups `tierproof.commands`, `tierproof.ledger.commands`."""

from importlib.metadata import entry_points

import typer

from tierproof.cli import dead, ledger, models, results, reviews, tasks

GROUP, LEDGER_GROUP = "tierproof.commands", "tierproof.ledger.commands"


def build() -> typer.Typer:
    """Return the whole command; each plug-in is one command, by the name of its entry point."""
    app = typer.Typer(
        help="A governed fleet of language models: tasks, evidence, reviews.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
    )
    app.add_typer(tasks.app, name="task")
    app.add_typer(results.app, name="result")
    app.add_typer(ledger.app, name="ledger")
    app.add_typer(reviews.app, name="review")
    app.add_typer(dead.app, name="dead")
    app.add_typer(models.app, name="model")
    app.command("listen")(results.listen)
    _plug_in(app, GROUP)
    _plug_in(ledger.app, LEDGER_GROUP)
    return app


def _plug_in(app: typer.Typer, group: str) -> None:
    """Add the group's commands and groups of commands, each once, however often the tree is built."""
    known = {command.name for command in app.registered_commands} | {part.name for part in app.registered_groups}
    for plugin in sorted(entry_points(group=group), key=lambda point: point.name):
        if plugin.name not in known:
            found = plugin.load()
            if isinstance(found, typer.Typer):
                app.add_typer(found, name=plugin.name)
            else:
                app.command(plugin.name)(found)
