"""The errors, loaded when there is one: half a hundred classes cost the thin client's start a third of a millisecond."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from elevate import errors
else:

    class _Late:
        """Stands for `elevate.errors`; an ``except`` clause, too, looks here only when something was raised."""

        def __getattr__(self, name: str) -> object:
            import elevate.errors

            return getattr(elevate.errors, name)

    errors = _Late()

__all__ = ["errors"]
