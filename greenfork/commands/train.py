"""``greenfork train``: train language models."""

import typer

from greenfork.commands import train_grpo, train_offline, train_sft

__all__ = ["app"]

app = typer.Typer(help="Train a language model.", no_args_is_help=True)


app.command(epilog=train_grpo.EXAMPLES)(train_grpo.grpo)
app.command(epilog=train_sft.EXAMPLES)(train_sft.sft)
app.command(epilog=train_offline.EXAMPLES)(train_offline.offline)
