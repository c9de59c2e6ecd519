"""``python -m bennu`` is the command ``bennu``."""

from bennu.cli.main import main

if __name__ == "__main__":
    main(prog_name="bennu")
