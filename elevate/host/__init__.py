"""Where a task is inspected and run: the emulated machine, the Linux host, and the launcher that both share."""
