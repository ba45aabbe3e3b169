"""The fixtures of the server's own tests."""

from tests.unit.server.conftest import bench

__all__ = ["bench"]
