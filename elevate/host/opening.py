"""How a file is looked at: opened once, and from then on only the descriptor counts.

- A command with no slash is looked up on a fixed PATH, never the caller's; one with a slash, from the working directory.
- What was opened is hashed by its descriptor. A file whose bytes somebody other than root could still change is copied into a
  sealed memory file; the hash is the copy's, and the copy is what runs.
- The real path is the kernel's name of the descriptor, so links are resolved once and shown resolved.
"""

import contextlib
import errno
import grp
import os
import re
import stat
from collections.abc import Callable
from dataclasses import dataclass, field

from elevate.errors import CommandNotExecutableError, CommandNotFoundError, TaskInvalidError
from elevate.host.budget import Budget, give_back_nothing
from elevate.host.paths import open_place
from elevate.host.sealed import digest_once, reopen, seal_copy
from elevate.model import FileFact, Requester

MAX_COPY_BYTES = 256 * 2**20
MAX_FILE_BYTES = 8 * 2**30
_MAX_LINE = 256
_BLANK = re.compile(rb"[ \t\0]")
_ACCESS_LIST = "system.posix_acl_access"


@dataclass(slots=True, kw_only=True)
class Opened:
    """A file that was opened and hashed; owns its descriptor.

    Attributes:
        fd: The file, or its sealed copy.
        fact: Real path, hash and size of exactly these bytes.
        writable: The requester could change the file, or a folder above it.
        copied: ``fd`` is a sealed copy.
        give_back: Ends what a sealed copy takes up of its user's memory.
        name: For a program, its first argument and the path that rules match: the real path, or, where a link that the
            requester can't change has another name (``pkill`` for ``pgrep``), the link's, because programs act by it.
    """

    fd: int
    fact: FileFact
    mode: int
    writable: bool
    copied: bool
    name: str
    give_back: Callable[[], None] = field(default=lambda: None, repr=False)
    closed: bool = field(default=False, repr=False)

    def close(self) -> None:
        """Close the descriptor; twice is the same as once."""
        if not self.closed:
            self.closed = True
            os.close(self.fd)
            self.give_back()


def open_directory(path: str) -> tuple[int, str]:
    """Open a working directory; give its descriptor and its real path.

    Raises:
        TaskInvalidError: It is not absolute, not a directory or not there.
    """
    if not path.startswith("/"):
        raise TaskInvalidError("the working directory is not an absolute path")
    try:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as exc:
        raise TaskInvalidError("the working directory can't be entered", detail=f"{path}: {exc.strerror}") from exc
    return fd, real_path(fd)


def find_command(word: str, folders: tuple[str, ...], cwd: int) -> tuple[int, str]:
    """Open a command for looking at (O_PATH): on the fixed PATH, or, where it has a slash, from the working directory.

    Returns:
        The descriptor, and the absolute path by which it was found; its last step may be a link.

    Raises:
        CommandNotFoundError: Not there; says no more, so that nobody learns what there is.
    """
    candidates = [word] if "/" in word else [f"{folder}/{word}" for folder in folders]
    for candidate in candidates:
        try:
            fd = os.open(candidate, os.O_PATH | os.O_CLOEXEC, dir_fd=cwd)
        except OSError:
            continue
        if stat.S_ISREG(os.fstat(fd).st_mode) or "/" in word:
            above, _, last = os.path.join(os.readlink(f"/proc/self/fd/{cwd}"), candidate).rpartition("/")
            # A folder that is swapped meanwhile: the look-up of its links fails, and so does this one.
            with contextlib.suppress(OSError):
                return fd, f"{os.path.realpath(above or '/').rstrip('/')}/{last}"
        os.close(fd)
    raise CommandNotFoundError("the command was not found")


def take_file(path_fd: int, requester: Requester, budget: Budget | None = None) -> Opened:
    """Open a plain file that was found, hash it, and copy it where others could change it. Takes ``path_fd`` over.

    Args:
        path_fd: The file.
        requester: For whom.
        budget: What copies may take up; None bounds nothing but one copy's size.

    Raises:
        BusyError: This user's copies, or all, take up too much already.
        CommandNotExecutableError: Not a plain file, or it can't be read.
    """
    try:
        found = os.fstat(path_fd)
        if not stat.S_ISREG(found.st_mode):
            raise CommandNotExecutableError("it is not a plain file")
        # SECURITY: the kernel's own files are plain ones of no size, or of endless ones: reading may block, or never end.
        if not 0 < found.st_size <= MAX_FILE_BYTES:
            raise CommandNotExecutableError(f"the file is empty, or over {MAX_FILE_BYTES} bytes")
        path = real_path(path_fd)
        fd = reopen(path_fd)
    except OSError as exc:
        raise CommandNotExecutableError("the file can't be read", detail=str(exc)) from exc
    finally:
        os.close(path_fd)
    copied = exposed(found)
    give_back = give_back_nothing
    try:
        if copied:
            most = min(found.st_size, MAX_COPY_BYTES)
            give_back = budget.take(requester.process.uid, most) if budget else give_back_nothing
            kept, sha256, size = seal_copy(fd, max_bytes=most)
        else:
            kept, sha256, size = os.dup(fd), *digest_once(fd)
    except BaseException:
        give_back()
        raise
    finally:
        os.close(fd)
    fact = FileFact(path=path, sha256=sha256, size=size)
    writable = may_change(path, requester)
    return Opened(fd=kept, fact=fact, mode=found.st_mode, writable=writable, copied=copied, name=path, give_back=give_back)


def take_program(path_fd: int, found_as: str, requester: Requester, budget: Budget | None = None) -> Opened:
    """As `take_file`, for a file that will be executed; a script's interpreter must be there, too.

    Raises:
        CommandNotExecutableError: No execute permission, or no interpreter.
    """
    # Before it is read: files that nobody executes may be very large.
    if not os.fstat(path_fd).st_mode & 0o111:
        os.close(path_fd)
        raise CommandNotExecutableError("the file is not executable")
    opened = take_file(path_fd, requester, budget)
    try:
        interpreter = _interpreter(opened)
    except BaseException:
        opened.close()
        raise
    # SECURITY: who can change the interpreter, or a link that leads to it, can change what the script does.
    opened.writable = opened.writable or bool(interpreter and not _leads_surely(interpreter, requester))
    # SECURITY: a link of the requester's own must not choose the name by which a program acts.
    if found_as != opened.fact.path and _leads_to(found_as, opened.fact.path) and not may_change(found_as, requester):
        opened.name = found_as
    return opened


def real_path(fd: int) -> str:
    """Give the kernel's name of an open file.

    Raises:
        TaskInvalidError: It has no name any more, or another file has it, or it is not text.
    """
    path = os.readlink(f"/proc/self/fd/{fd}")
    try:
        path.encode()
        same = os.path.samestat(os.stat(path, follow_symlinks=False), os.fstat(fd))
    except (OSError, UnicodeEncodeError):
        same = False
    if not same:
        raise TaskInvalidError("the file changed its name while it was looked at, or its name is not text")
    return path


def exposed(found: os.stat_result) -> bool:
    """Say whether anybody but root could change the bytes of this file."""
    return found.st_uid != 0 or bool(found.st_mode & (stat.S_IWGRP | stat.S_IWOTH))


def may_change(path: str, requester: Requester) -> bool:
    """Say whether the requester could change the file of this real path, or swap it in one of the folders above.

    A doubt counts as yes: an access list that lets anybody further write is one.
    """
    places = (path, *_folders_above(path))
    try:
        levels = [os.stat(place, follow_symlinks=False) for place in places]
    except OSError:
        return True
    if any(_writes(level, requester) for level in levels):
        return True
    # The group's bits are the most that an access list gives, so only where they allow writing it matters.
    return any(level.st_mode & stat.S_IWGRP and _has_list(place) for place, level in zip(places, levels, strict=True))


def _has_list(path: str) -> bool:
    try:
        os.getxattr(path, _ACCESS_LIST, follow_symlinks=False)
    except OSError as exc:
        return exc.errno not in {errno.ENODATA, errno.EOPNOTSUPP}
    return True


def _leads_surely(path: str, requester: Requester) -> bool:
    """Say whether nobody but root can change what lies at a path: the file itself, a folder or a link on the way."""
    try:
        os.close(open_place(path))
    except OSError:
        return False
    return not may_change(path, requester) and not may_change(os.path.realpath(path), requester)


def may_reach(path: str, requester: Requester) -> bool:
    """Say whether the requester could get as far as this real path: whether all folders above may be searched.

    A broker that is root must not tell a user what lies in folders that the user can't enter.
    """
    try:
        levels = list(map(os.stat, _folders_above(path)))
    except OSError:
        return False
    return all(_searches(level, requester) for level in levels)


def _folders_above(path: str) -> list[str]:
    """Give the folders that an absolute path leads through, the nearest first."""
    found = []
    while path := path.rpartition("/")[0]:
        found.append(path)
    return [*found, "/"]


def _searches(found: os.stat_result, requester: Requester) -> bool:
    uid, mode = requester.process.uid, found.st_mode
    if uid == 0:
        return True
    if found.st_uid == uid:
        return bool(mode & stat.S_IXUSR)
    # Whether the requester is in the group is asked only where that makes a difference.
    alike = bool(mode & stat.S_IXGRP) == bool(mode & stat.S_IXOTH)
    return bool(mode & (stat.S_IXGRP if not alike and _in_group(requester, found.st_gid) else stat.S_IXOTH))


def _writes(found: os.stat_result, requester: Requester) -> bool:
    uid, mode = requester.process.uid, 0 if stat.S_ISLNK(found.st_mode) else found.st_mode
    if uid == 0:
        return found.st_uid != 0 or bool(mode & stat.S_IWOTH)
    return found.st_uid == uid or bool(mode & stat.S_IWOTH) or bool(mode & stat.S_IWGRP and _in_group(requester, found.st_gid))


def _in_group(requester: Requester, gid: int) -> bool:
    return gid in map(_gid, requester.groups)


def _gid(name: str) -> int:
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        return -1


def _leads_to(link: str, path: str) -> bool:
    try:
        return os.path.realpath(link, strict=True) == path
    except OSError:
        return False


def _interpreter(program: Opened) -> str:
    line = os.pread(program.fd, _MAX_LINE, 0).split(b"\n")[0]
    if not line.startswith(b"#!"):
        return ""
    # SECURITY: as the kernel splits it; any other blank is part of a path, and that one would begin in the caller's folder.
    path = os.fsdecode(_BLANK.split(line[2:].strip(b" \t"), maxsplit=1)[0])
    try:
        if path.startswith("/") and os.access(path, os.X_OK):
            return path
    except OSError:
        pass
    raise CommandNotExecutableError("the interpreter that the script names is not there")
