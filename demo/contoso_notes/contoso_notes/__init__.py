"""Contoso Notes: the small program that the demo installs."""

__version__ = "1.2.0"


def main() -> None:
    """Say which version runs."""
    print(f"Contoso Notes {__version__}")
