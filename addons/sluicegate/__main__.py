"""The sluicegate command, also as `python -m sluicegate`: says what is not installed before it imports the rest."""

from sluicegate.core.dependencies import require

__all__ = ["main"]


def main() -> None:
    """Entry point of the `sluicegate` command."""
    require(command=True)
    from sluicegate.cli import main as command

    command()


if __name__ == "__main__":
    main()
