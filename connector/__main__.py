"""The program's entry point: `connector`, or `python -m connector`."""


def main() -> None:
    """Runs the command line."""
    # Each scan worker imports the program's main module, so this one imports nothing at its top.
    from connector.cli.app import main as run

    run()


if __name__ == "__main__":
    main()
