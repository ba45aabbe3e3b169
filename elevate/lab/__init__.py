"""The lab: what Administrator protection breaks in an installer, found out on a Linux machine before the customers do.

`check.check` runs a real installer under Wine twice, as one identity and as Administrator protection would, and compares. Wine
is no sandbox: an installer that is not trusted belongs on a machine that can be thrown away.
"""
