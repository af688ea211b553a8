"""`serve` and `worker`: long-lived processes on loopback."""

from __future__ import annotations

import os
from typing import Annotated

import typer
from rich.console import Console

from tidewaiter.errors import Problem, UsageProblem


def serve(
    worker: Annotated[bool, typer.Option(help="Also run a worker, so that scheduled runs execute.")] = False,
) -> None:
    """Run the Prefect and MLflow servers on loopback and register the deployments. Ends with Ctrl-C."""
    from flows.environment import prepare_environment
    from flows.progress import reporting_to, terminal_reporter
    from flows.server import Served
    from flows.server import serve as run_servers
    from tidewaiter.settings import load_settings

    settings = load_settings()
    # A server is what this command starts; one found running would only shadow it.
    os.environ.pop("PREFECT_API_URL", None)
    prepare_environment(settings)
    if os.environ.get("PREFECT_API_URL"):
        raise UsageProblem(
            Problem(
                "already served", where=os.environ["PREFECT_API_URL"], next_step="use it, or end that process"
            )
        )
    console = Console(highlight=False)

    def announce(served: Served) -> None:
        console.print(f"Prefect  {served.prefect_ui}  (API {served.prefect_api})")
        console.print(f"MLflow   {served.mlflow_ui}")
        if worker:
            console.print("A worker is running: scheduled runs execute.")
        else:
            console.print(
                "Scheduled runs wait for a worker: [bold]tidewaiter worker[/bold] in another terminal."
            )
        console.print("Ctrl-C ends both servers.")

    try:
        with terminal_reporter() as reporter, reporting_to(reporter):
            run_servers(settings, with_worker=worker, announce=announce)
    except KeyboardInterrupt:
        console.print("ended")


def worker() -> None:
    """Run a worker that executes scheduled runs, on the server that `tidewaiter serve` started."""
    from flows.environment import prepare_environment
    from flows.server import worker_command
    from tidewaiter.settings import load_settings

    prepare_environment(load_settings())
    if not os.environ.get("PREFECT_API_URL"):
        raise UsageProblem(
            Problem("no Prefect server answers", next_step="tidewaiter serve, in another terminal")
        )
    command = worker_command()
    # The worker takes this process's place: signals reach it, and there is nothing to clean up after.
    os.execv(command[0], command)  # noqa: S606 - the interpreter that runs us, with fixed arguments


COMMANDS = (serve, worker)
