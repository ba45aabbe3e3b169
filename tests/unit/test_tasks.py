"""Every kind, every parameter, and both sides of every bound."""

import re

import pytest

from elevate import params, tasks
from elevate.errors import TaskError, TaskInvalidError, TaskKindUnknownError
from elevate.tasks import KINDS, ParamSpec, ParamType, Task

LONGEST_PATH = "/" + "a" * (params.MAX_PATH_BYTES - 1)


def _full(count: int) -> list[str]:
    return ["a"] * count


def _refused(message: str, kind: object, params: object, payload: bytes | None = None) -> TaskInvalidError:
    with pytest.raises(TaskInvalidError, match=re.escape(message)) as caught:
        Task.parse(kind, params, payload=payload)
    return caught.value


def test_the_kinds() -> None:
    """Six kinds; the parameters of each, and whether bytes travel beside it."""
    assert {name: (set(kind.params), kind.payload) for name, kind in KINDS.items()} == {
        "process.run": ({"argv", "cwd", "env", "time_limit_seconds", "run_as", "run_as_group"}, True),
        "package.install": ({"path", "cwd", "time_limit_seconds", "scope"}, False),
        "package.remove": ({"package", "time_limit_seconds"}, False),
        "setting.change": ({"key", "name", "value", "type"}, False),
        "service.control": ({"service", "action"}, False),
        "file.write": ({"path", "cwd", "mode"}, True),
    }
    assert all(kind.name == name and kind.display_name for name, kind in KINDS.items())


def test_run() -> None:
    """A program: the command as a list, additions in name order, defaults filled in."""
    task = Task.run(["ls", "-l"], cwd="/srv", env={"B": "2", "A": "1"}, stdin=b"x")
    assert task.params == (
        ("argv", ("ls", "-l")),
        ("cwd", "/srv"),
        ("env", (("A", "1"), ("B", "2"))),
        ("time_limit_seconds", tasks.DEFAULT_TIME_LIMIT_SECONDS),
    )
    assert (task.kind, task.payload, task["cwd"]) == ("process.run", b"x", "/srv")


def test_run_as_another() -> None:
    """Only where it is asked for, so that all other tasks are what they were; shown before the command."""
    task = Task.run(["ls", "-l"])
    other = task.run_as("alice", group="#4")
    assert (dict(other.params)["run_as"], dict(other.params)["run_as_group"]) == ("alice", "#4")
    assert [one.display() for one in (task, other, task.run_as(group="adm"))] == [
        "ls -l",
        "as 'alice:#4:' ls -l",
        "as :adm: ls -l",
    ]
    assert task.run_as() == task
    assert Task.parse(other.kind, other.to_json()["params"]) == other
    for name in ("", "a\nb", "a:b", "x" * 257):
        _refused("the parameter run_as can't be ", "process.run", {"argv": ["ls"], "cwd": "/", "run_as": name})


def test_install_service_and_write() -> None:
    """The other kinds, with their defaults."""
    assert Task.install("a.deb").params == (("cwd", "/"), ("path", "a.deb"), ("time_limit_seconds", 3600))
    assert Task.service("ssh", "stop").params == (("action", "stop"), ("service", "ssh"))
    write = Task.write("/etc/motd", b"hi")
    assert write.params == (("cwd", "/"), ("path", "/etc/motd"))
    assert write.payload == b"hi"


def test_the_payload_is_not_shown() -> None:
    """Input can hold a secret: it is in no repr."""
    assert "hunter2" not in repr(Task.run(["cat"], stdin=b"hunter2"))


def test_unknown_parameter_of_a_task() -> None:
    """Asking a task for what its kind does not have is a mistake of the program."""
    with pytest.raises(KeyError):
        Task.service("ssh", "stop")["argv"]


@pytest.mark.parametrize("kind", ["", "process.Run", "process.run ", "shell", "__class__", "a\nb\x1b"])
def test_unknown_kind(kind: str) -> None:
    """A kind that is not there has an error of its own; what it is called is shown escaped."""
    with pytest.raises(TaskKindUnknownError) as caught:
        Task.parse(kind, {})
    assert caught.value.message.isprintable()


@pytest.mark.parametrize("kind", [None, 1, ["process.run"], b"process.run"])
def test_kind_is_text(kind: object) -> None:
    """Anything but text is not a kind."""
    _refused("a task is a kind and an object of parameters", kind, {})


@pytest.mark.parametrize("params", [None, [], "argv", 1, [["argv", ["ls"]]]])
def test_params_are_an_object(params: object) -> None:
    """Anything but an object is no parameters."""
    _refused("a task is a kind and an object of parameters", "process.run", params)


@pytest.mark.parametrize(
    ("kind", "params", "missing"),
    [
        ("process.run", {"cwd": "/"}, "argv"),
        ("process.run", {"argv": ["ls"]}, "cwd"),
        ("package.install", {"cwd": "/"}, "path"),
        ("package.install", {"path": "a"}, "cwd"),
        ("service.control", {"action": "stop"}, "service"),
        ("service.control", {"service": "ssh"}, "action"),
        ("file.write", {"cwd": "/"}, "path"),
        ("file.write", {"path": "/a"}, "cwd"),
    ],
)
def test_required_parameter(kind: str, params: dict[str, object], missing: str) -> None:
    """What has no default must be given."""
    _refused(f"the parameter {missing} is missing", kind, params)


@pytest.mark.parametrize("kind", list(KINDS))
def test_foreign_parameter(kind: str) -> None:
    """No kind takes what it does not know: no host, user, root directory or policy file (CVE-2025-32462)."""
    for name in ("host", "user", "chroot", "policy", "uid", "shell", "", "argv ", "\x1b[2J"):
        assert _refused(f"{kind} has no parameter ", kind, {name: "x"}).message.isprintable()


@pytest.mark.parametrize("value", [None, True, 1.0, b"/", object()])
def test_parameter_of_no_json_type(value: object) -> None:
    """A parameter is text, an integer, a list or an object; a bool is not an integer."""
    _refused("a parameter can't be", "process.run", {"argv": ["ls"], "cwd": value})


@pytest.mark.parametrize("params", [(("cwd", "/"), ("cwd", "/"), ("argv", ("ls",))), (("argv", ("ls",)), ("argv", ("rm",)))])
def test_parameter_given_twice(params: tuple[tuple[str, tasks.Value], ...]) -> None:
    """Two values for one name are refused, even the same: which one would be shown, and which would run?"""
    with pytest.raises(TaskInvalidError, match="given twice"):
        Task(kind="process.run", params=params)


@pytest.mark.parametrize("argv", [[], [""], ["", "a"]])
def test_empty_command(argv: list[str]) -> None:
    """An empty command is refused (CVE-2021-4034), with what to do."""
    assert _refused("the command is empty", "process.run", {"argv": argv, "cwd": "/"}).hint == "give a command after --"


@pytest.mark.parametrize("argv", ["ls -l", 1, {"ls": "-l"}])
def test_command_is_a_list(argv: object) -> None:
    """A joined string is no command (UAC command-line spoofing)."""
    with pytest.raises(TaskInvalidError):
        Task.parse("process.run", {"argv": argv, "cwd": "/"})


@pytest.mark.parametrize("word", [1, None, ["x"], b"x", True])
def test_arguments_are_text(word: object) -> None:
    """Every argument is text."""
    _refused("a list holds text only", "process.run", {"argv": ["ls", word], "cwd": "/"})


def test_argument_count() -> None:
    """At most MAX_ARGUMENTS arguments."""
    assert len(Task.run(_full(params.MAX_ARGUMENTS)).params[0][1]) == params.MAX_ARGUMENTS  # type: ignore[arg-type]
    _refused("the command has over", "process.run", {"argv": _full(params.MAX_ARGUMENTS + 1), "cwd": "/"})


@pytest.mark.parametrize(("char", "size"), [("a", 1), ("é", 2), ("😂", 4)])
def test_argument_bytes(char: str, size: int) -> None:
    """At most MAX_ARGV_BYTES bytes of UTF-8, each argument with the NUL that ends it."""
    rest = params.MAX_ARGV_BYTES - len("a\0") - len("\0")
    longest = char * (rest // size)
    longest += "a" * (rest - len(longest.encode()))
    Task.run(["a", longest])
    _refused("the command has over", "process.run", {"argv": ["a", longest + "a"], "cwd": "/"})
    _refused("the command has over", "process.run", {"argv": ["a", longest, ""], "cwd": "/"})


@pytest.mark.parametrize("argv", [["a\0b"], ["a", "\0"], ["a", "-x\0"]])
def test_argument_with_nul(argv: list[str]) -> None:
    """A NUL would end the argument for the kernel and not for the eye."""
    _refused("an argument has a NUL", "process.run", {"argv": argv, "cwd": "/"})


@pytest.mark.parametrize("params", [{"argv": ["\ud800"], "cwd": "/"}, {"argv": ["a"], "cwd": "/\udcff"}])
def test_lone_surrogate(params: dict[str, object]) -> None:
    """What is not Unicode text has no bytes to hash."""
    _refused("is not Unicode text", "process.run", params)


@pytest.mark.parametrize(("kind", "name"), [("process.run", "cwd"), ("package.install", "path"), ("file.write", "path")])
def test_path_bounds(kind: str, name: str) -> None:
    """A path has 1 to MAX_PATH_BYTES bytes and no NUL."""
    rest: dict[str, object] = {"process.run": {"argv": ["a"]}}.get(kind, {"cwd": "/"})  # type: ignore[assignment]
    for good in ("a", "-rf", "/a b\n", LONGEST_PATH, "é" * (params.MAX_PATH_BYTES // 2)):
        assert Task.parse(kind, {**rest, name: good})[name] == good
    for bad in ("", "\0", "/a\0", LONGEST_PATH + "a", "é" * (params.MAX_PATH_BYTES // 2 + 1)):
        _refused(f"the parameter {name} is empty, has a NUL or is over", kind, {**rest, name: bad})
    for other in (1, ["/"], {"a": "/"}):
        _refused(f"the parameter {name} is not a path within its bounds", kind, {**rest, name: other})


@pytest.mark.parametrize(("name", "good"), [("A", True), ("_", True), ("a_1", True), ("A" * 128, True), ("A" * 129, False)])
def test_environment_name_length(name: str, *, good: bool) -> None:
    """A name has 1 to 128 characters."""
    if good:
        assert Task.run(["a"], env={name: ""})["env"] == ((name, ""),)
    else:
        _refused("is not allowed", "process.run", {"argv": ["a"], "cwd": "/", "env": {name: ""}})


@pytest.mark.parametrize("name", ["", "1A", "A=B", "A B", "A\n", "A\0", "BASH_FUNC_a%%", "é", "A-B", "\ud800"])
def test_environment_name_characters(name: str) -> None:
    """Letters, digits and underscore only: no exported function, no second variable in the name."""
    _refused("is not allowed", "process.run", {"argv": ["a"], "cwd": "/", "env": {name: "x"}})


def test_environment_bounds() -> None:
    """A value has at most MAX_PATH_BYTES bytes and no NUL; there are at most MAX_ENV additions."""
    names = [f"A{number}" for number in range(params.MAX_ENV + 1)]
    Task.run(["a"], env=dict.fromkeys(names[:-1], "x" * params.MAX_PATH_BYTES))
    for env, message in (
        (dict.fromkeys(names, ""), "more than 64 environment additions"),
        ({"A": "x" * (params.MAX_PATH_BYTES + 1)}, "is not allowed"),
        ({"A": "x\0"}, "is not allowed"),
        ({"A": "\udc80"}, "is not Unicode text"),
        ({"A": 1}, "a list holds text only"),
        (["A=x"], "an environment addition is a name and a text"),
        ("A=x", "the parameter env is not a env within its bounds"),
    ):
        _refused(message, "process.run", {"argv": ["a"], "cwd": "/", "env": env})


@pytest.mark.parametrize("pair", [("A",), ("A", "b", "c"), (), ("A", 1), (1, "b"), "Ab", ["A", "b"], None])
def test_environment_pair_made_by_hand(pair: object) -> None:
    """A pair of another shape is refused like any bad parameter, not with an error of Python's."""
    with pytest.raises(TaskInvalidError, match="an environment addition is a name and a text"):
        Task(kind="process.run", params=(("argv", ("a",)), ("cwd", "/"), ("env", (pair,))))  # type: ignore[arg-type]


def test_environment_name_given_twice() -> None:
    """Two values for one variable are refused."""
    with pytest.raises(TaskInvalidError, match="the environment addition A is given twice"):
        Task(kind="process.run", params=(("argv", ("a",)), ("cwd", "/"), ("env", (("A", "1"), ("A", "2")))))


@pytest.mark.parametrize("limit", [1, tasks.MAX_TIME_LIMIT_SECONDS])
def test_time_limit_within(limit: int) -> None:
    """From one second to a day."""
    assert Task.run(["a"], time_limit_seconds=limit)["time_limit_seconds"] == limit


@pytest.mark.parametrize("limit", [0, -1, tasks.MAX_TIME_LIMIT_SECONDS + 1, 2**70, "60", ["60"]])
def test_time_limit_beyond(limit: object) -> None:
    """No limit is no task."""
    message = "the parameter time_limit_seconds is not a seconds within its bounds"
    _refused(message, "process.run", {"argv": ["a"], "cwd": "/", "time_limit_seconds": limit})


@pytest.mark.parametrize("mode", [0, 0o644, 0o777])
def test_mode_within(mode: int) -> None:
    """Permission bits only."""
    assert Task.write("/a", b"", mode=mode)["mode"] == mode


@pytest.mark.parametrize("mode", [-1, 0o1000, 0o2755, 0o4755, 0o100644, "644", "0o644"])
def test_mode_beyond(mode: object) -> None:
    """No setuid, setgid or sticky bit can be asked for."""
    _refused("the parameter mode is not a mode within", "file.write", {"path": "/a", "cwd": "/", "mode": mode})


@pytest.mark.parametrize("service", ["a", "ssh.service", "getty@tty1", "A:b_c-d.e", "a" * 128])
def test_service_name(service: str) -> None:
    """A unit's name: letters, digits and @:._- after a letter or digit."""
    assert Task.service(service, "start").display() == f"start {service}"


@pytest.mark.parametrize("service", ["", "-a", ".a", "@a", "a b", "a/b", "a\n", "a\0", "é", "a" * 129, "a;b", "../a"])
def test_service_name_refused(service: str) -> None:
    """No option, path, pattern or second word passes for a name."""
    _refused("the parameter service can't be", "service.control", {"service": service, "action": "stop"})


@pytest.mark.parametrize("action", ["start", "stop", "restart", "reload", "enable", "disable"])
def test_service_action(action: str) -> None:
    """The six actions."""
    assert Task.service("a", action)["action"] == action


@pytest.mark.parametrize("action", ["", "START", "start ", "start\n", "mask", "starts", "restart|stop", "daemon-reload"])
def test_service_action_refused(action: str) -> None:
    """No other action."""
    _refused("the parameter action can't be", "service.control", {"service": "a", "action": action})


def test_text_beyond_unicode_is_refused_by_every_pattern() -> None:
    """A kind that a machine brings can't let a lone surrogate pass by its pattern."""
    with pytest.raises(TaskInvalidError, match="is not Unicode text"):
        params.check("name", "\ud800", ParamSpec(type=ParamType.TEXT))
    assert params.check("name", "é b", ParamSpec(type=ParamType.TEXT)) == "é b"
    for bad in ("", "a\n", "\0", "\x7f", "a" * 4097):
        with pytest.raises(TaskInvalidError):
            params.check("name", bad, ParamSpec(type=ParamType.TEXT))


@pytest.mark.parametrize("kind", [name for name, kind in KINDS.items() if not kind.payload])
def test_payload_where_none_is_taken(kind: str) -> None:
    """Bytes that nobody would read are refused, even none of them."""
    params = {
        "package.install": {"path": "a", "cwd": "/"},
        "package.remove": {"package": "a"},
        "setting.change": {"key": "HKLM\\a", "name": "b", "value": "c"},
        "service.control": {"service": "a", "action": "stop"},
    }[kind]
    assert _refused(f"{kind} takes no input", kind, params, b"").code == "task-invalid"


def test_payload_bound() -> None:
    """At most MAX_PAYLOAD_BYTES, and no bytes are not the same as none."""
    assert Task.run(["a"], stdin=bytes(tasks.MAX_PAYLOAD_BYTES)).payload is not None
    error = _refused("the input is over", "process.run", {"argv": ["a"], "cwd": "/"}, bytes(tasks.MAX_PAYLOAD_BYTES + 1))
    assert error.hint == "put it into a file and name that"
    assert Task.run(["a"], stdin=b"").payload == b""
    assert Task.run(["a"]).payload is None


@pytest.mark.parametrize("payload", ["text", bytearray(b"x"), 5, [1]])
def test_payload_is_bytes(payload: object) -> None:
    """Text has no bytes yet, and a bytearray could change after it was hashed."""
    with pytest.raises(TaskInvalidError, match="the input is bytes, not"):
        Task.run(["a"], stdin=payload)  # type: ignore[arg-type]


def test_task_is_frozen() -> None:
    """What was checked can't change."""
    task = Task.run(["a"])
    with pytest.raises(AttributeError):
        task.kind = "file.write"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("task", "shown"),
    [
        (Task.run(["/bin/ls", "-l", "a b", ""]), "/bin/ls -l 'a b' ''"),
        (Task.run(["a", "\x1b]0;x\x07\n\u202e"]), "a '\\u{1b}]0;x\\u{7}\\n\\u{202e}'"),
        (Task.install("/srv/a\n.deb"), "install '/srv/a\\n.deb'"),
        (Task.service("ssh", "restart"), "restart ssh"),
        (Task.write("/etc/motd", b"x"), "file.write /etc/motd"),
    ],
)
def test_display(task: Task, shown: str) -> None:
    """One line, quoted and escaped, whatever it holds."""
    assert task.display() == shown


@pytest.mark.parametrize(
    "task",
    [
        Task.run(["a", "-b"], cwd="/srv", env={"B": "", "A": "x"}, stdin=b"y", time_limit_seconds=7),
        Task.run(["a"]),
        Task.install("a.deb", cwd="/srv"),
        Task.service("ssh", "stop"),
        Task.write("/a", b"x", mode=0),
    ],
    ids=lambda task: task.display(),
)
def test_round_trip(task: Task) -> None:
    """`parse` reads what `to_json` gives."""
    members = task.to_json()
    assert Task.parse(members["kind"], members["params"], payload=task.payload) == task


def test_error_is_one_line_whatever_was_given() -> None:
    """An error quotes what it refuses, escaped and cut."""
    with pytest.raises(TaskError) as caught:
        Task.service("x\n\x1b[31m" + "y" * 10_000, "stop")
    assert caught.value.message.isprintable()
    assert len(caught.value.message) < 200
