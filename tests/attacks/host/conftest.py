from tests.unit.host.fixtures import launcher, machine

__all__ = ["launcher", "machine"]
