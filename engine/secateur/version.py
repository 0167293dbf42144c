"""The version of the installed package, looked up when somebody asks: the lookup costs more than `import secateur`."""

from __future__ import annotations

__all__ = ["version"]


def version() -> str:
    """The version that the package's metadata states; `0+source` for a checkout that was never installed."""
    from importlib import metadata

    try:
        return metadata.version("secateur")
    except metadata.PackageNotFoundError:
        return "0+source"
