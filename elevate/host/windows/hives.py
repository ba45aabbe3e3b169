r"""Import and export of the emulated registry: HKLM, and for each user or hidden account a HKCU of its own."""

from elevate.errors import HostError
from elevate.host.machine import Machine
from elevate.host.registry import MACHINE, user_hive
from elevate.host.windows import regfile


def hive_of(machine: Machine, root: str, account: str = "") -> str:
    """Give the hive that ``root`` (``HKLM`` or ``HKCU``) is for an account, user or hidden.

    Raises:
        HostError: No such account, or HKCU without one.
    """
    if root == MACHINE:
        return MACHINE
    for name, record in machine.users().items():
        smaa = record.get("smaa", {})
        if account in {name, smaa.get("name", name)}:
            return user_hive(record["sid"] if account == name else smaa["sid"])
    raise HostError("the machine has no such account", hint="HKCU needs the name of a user or of a hidden account")


def export(machine: Machine, root: str, account: str = "") -> str:
    """Give a whole hive as a ``.reg`` file's text.

    Raises:
        HostError: As `hive_of`.
    """
    return regfile.write(root, machine.registry.all(hive_of(machine, root, account)))


def apply(machine: Machine, data: bytes, account: str = "") -> int:
    """Make the changes of a ``.reg`` file; give their number. Where a line can't be read, none is made.

    Raises:
        HostError: As `hive_of`, or the file can't be read.
    """
    try:
        edits = regfile.parse(regfile.decode(data))
    except regfile.RegFileError as exc:
        raise HostError(f"the file can't be imported: {exc}", hint="nothing was changed; correct that line") from exc
    hives = {root: hive_of(machine, root, account) for root in {edit.root for edit in edits}}
    for edit in edits:
        if edit.name is None or edit.data is None:
            machine.registry.remove(hives[edit.root], edit.key, edit.name)
        else:
            machine.registry.write(hives[edit.root], edit.key, {edit.name: edit.data})
    return len(edits)
