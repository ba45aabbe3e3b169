from tests.unit.host.fixtures import launcher, linux, machine

__all__ = ["launcher", "linux", "machine"]
