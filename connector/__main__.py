"""The program's beginning: `connector`, or `python -m connector`."""


def main() -> None:
    """Runs the command line."""
    # Each scan worker imports the module that the program began with; this one costs it nothing.
    from connector.cli.app import main as run

    run()


if __name__ == "__main__":
    main()
