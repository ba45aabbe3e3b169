"""How the command is found, and what it is told of its own name."""

import pytest

from tests.sudo.place import STAGE, Place, Way

pytestmark = pytest.mark.root


@pytest.fixture(scope="module", autouse=True)
def stage(place: Place) -> None:
    """Programs of the tests' own, where only root writes."""
    place.as_root(f"""
        cd {STAGE}
        printf '#!/bin/sh\\necho "$0" "$@"\\n' > said; chmod 755 said
        printf '#!/bin/sh\\necho hidden\\n' > hidden; chmod 700 hidden
        printf 'echo x\\n' > no-exec; chmod 644 no-exec
        printf '#!/nowhere/sh\\necho x\\n' > no-interpreter; chmod 755 no-interpreter
        printf 'echo plain\\n' > no-marker; chmod 755 no-marker
        mkdir -p folder closed; chmod 700 closed; cp said closed/
        ln -sf said linked; ln -sfn . around; ln -sf nothing dangling
    """)


def test_full_path(way: Way) -> None:
    """It is taken as it stands."""
    assert way.out(f"{STAGE}/said", "x").endswith(" x")


def test_relative_path(way: Way) -> None:
    """From the working directory."""
    assert way.out("./said", "x", cwd=STAGE).endswith(" x")


def test_name_is_searched_in_the_fixed_path_only(way: Way) -> None:
    """A folder on the caller's PATH does not count."""
    done = way.run("said", env={"PATH": f"{STAGE}:/run/bin:/usr/bin:/bin"})
    assert (done.status != 0, done.out) == (True, "")


def test_name_in_the_working_directory_is_not_found(way: Way) -> None:
    """Without a slash it is not looked for there."""
    assert way.run("said", cwd=STAGE, env={"PATH": ".:/run/bin:/usr/bin:/bin"}).out == ""


def test_command_that_is_not_there(elevate: Way, sudo: Way) -> None:
    """As shells say it: 127."""
    assert elevate.run("no-such-command").status == 127
    assert sudo.run("no-such-command").status == 1


def test_path_that_is_not_there(elevate: Way, sudo: Way) -> None:
    """The same for a path."""
    assert elevate.run(f"{STAGE}/nothing").status == 127
    assert sudo.run(f"{STAGE}/nothing").status == 1


def test_file_that_is_not_executable(elevate: Way, sudo: Way) -> None:
    """It is not run, by no shell either."""
    done = elevate.run(f"{STAGE}/no-exec")
    assert (done.status, done.out) == (127, "")
    assert sudo.run(f"{STAGE}/no-exec")[:2] == (1, "")


def test_folder_is_no_command(elevate: Way, sudo: Way) -> None:
    """And no crash."""
    assert elevate.run(STAGE).status == 127
    assert sudo.run(STAGE).status == 1


def test_link_to_a_command(way: Way) -> None:
    """It is followed."""
    assert way.run(f"{STAGE}/linked", "x").status == 0


def test_link_to_nothing(way: Way) -> None:
    """It is not found."""
    assert way.run(f"{STAGE}/dangling").status != 0


def test_name_that_a_script_sees(elevate: Way, sudo: Way) -> None:
    """It runs by descriptor, so that what was hashed is what runs."""
    assert elevate.out(f"{STAGE}/said", "x").startswith("/dev/fd/")
    assert sudo.out(f"{STAGE}/said", "x") == f"{STAGE}/said x"


def test_name_that_a_program_sees(elevate: Way, sudo: Way) -> None:
    """The full path that was shown; sudo gives what was typed."""
    words = ("sh", "-c", 'tr "\\0" "\\n" < /proc/$$/cmdline | head -n 1')
    assert elevate.out(*words) == "/usr/bin/sh"
    assert sudo.out(*words) == "sh"


def test_file_that_the_caller_can_not_read(elevate: Way, sudo: Way) -> None:
    """A rule for its folder is enough."""
    assert elevate.out(f"{STAGE}/hidden") == "hidden"
    assert sudo.out(f"{STAGE}/hidden") == "hidden"


def test_folder_that_the_caller_can_not_enter(elevate: Way, sudo: Way) -> None:
    """What lies there is answered as if it were not there, so that nobody learns what is."""
    there, not_there = elevate.run(f"{STAGE}/closed/said"), elevate.run(f"{STAGE}/closed/nothing")
    assert (there.status, there) == (127, not_there)
    assert sudo.run(f"{STAGE}/closed/said").status == 0
    assert sudo.run(f"{STAGE}/closed/nothing").status == 1


def test_interpreter_that_is_not_there(elevate: Way, sudo: Way) -> None:
    """The script is not run by anything else."""
    assert elevate.run(f"{STAGE}/no-interpreter").status == 127
    assert sudo.run(f"{STAGE}/no-interpreter").status == 1


def test_script_without_its_first_line(elevate: Way, sudo: Way) -> None:
    """Sudo hands it to a shell; here it is not executable."""
    assert elevate.run(f"{STAGE}/no-marker").out == ""
    assert sudo.run(f"{STAGE}/no-marker").out == "plain\n"


def test_path_through_a_linked_folder(way: Way) -> None:
    """Root's own links are followed."""
    assert way.run(f"{STAGE}/around/said").status == 0
