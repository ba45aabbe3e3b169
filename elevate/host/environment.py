"""The environment of a task: made from nothing, by an allow-list; additions are checked one by one.

Which additions a requester may ask for is the policy's decision. Here stand those that no policy can allow, because a loader, a
shell, an interpreter or a library would run code or open files by them, and those whose values must have a form.
"""

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from elevate.errors import TaskInvalidError
from elevate.text import shell_words

SYSTEM_PATH = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")

NEVER = re.compile(
    r"(?i:LD_.*|DYLD_.*|GCONV_PATH|GETCONF_DIR|HOSTALIASES|LOCALDOMAIN|LOCPATH|MALLOC_.*|NIS_PATH|NLSPATH|RESOLV_HOST_CONF|RES_OPTIONS"
    r"|TMPDIR|TMP|TEMP|TZDIR|GLIBC_TUNABLES|LIBPATH|SHLIB_PATH|BASH_ENV|ENV|BASH_FUNC.*|SHELLOPTS|BASHOPTS|PS[0-4]|PROMPT_COMMAND"
    r"|IFS|CDPATH|GLOBIGNORE|FPATH|ZDOTDIR|NULLCMD|READNULLCMD|PYTHON.*|PERL.*|RUBY.*|GEM_.*|BUNDLE_.*|NODE_.*|NPM_.*|JAVA_.*"
    r"|_JAVA_.*|JDK_.*|CLASSPATH|LUA_.*|PHP.*|TCLLIBPATH|GIT_.*|SSH_.*|GPG_.*|KRB5.*|DBUS_.*|XDG_.*|GTK_.*|QT_.*|DISPLAY"
    r"|WAYLAND_.*|XAUTHORITY|TERMINFO.*|TERMCAP|TERMPATH|EDITOR|VISUAL|SUDO_EDITOR|PAGER|MANPAGER|LESS.*|SYSTEMD_.*"
    r"|OPENSSL_.*|SSL_.*|SSLKEYLOGFILE|CURL_.*|DEBIAN_.*|APT_.*|DPKG_.*|PKG_.*|MAKEFLAGS|CC|CXX|TAR_.*|RSYNC_.*|VIM.*|EXINIT|CARGO.*|RUST.*"
    r"|GOFLAGS|GOENV|DOCKER_.*|KUBECONFIG|ANSIBLE_.*|PG.*|MYSQL_.*|.*_PRELOAD|ELEVATE_.*|SUDO_.*"
    r"|GIO_.*|GDK_.*|GST_.*|LIBGL_.*|LIBVA_.*|VDPAU_.*|VK_.*|ALSA_.*|SASL_PATH|LDAP.*|NSS_.*|P11_KIT_.*|GNUTLS_.*|GNUPGHOME|MAGICK_.*"
    r"|GCC_.*|COMPILER_PATH|LIBRARY_PATH|CPATH|.*_INCLUDE_PATH|CMAKE_.*|ACLOCAL.*|M4PATH|AWKPATH|AWKLIBPATH|.*SAN_OPTIONS"
    r"|DOTNET_.*|CORECLR_.*|COR_.*|COMPLUS_.*|MONO_.*|MAVEN_.*|GRADLE_.*|PIP_.*|UV_.*|CONDA.*|YARN_.*|DENO_.*|BUN_.*"
    r"|ERL_.*|ELIXIR_.*|GUILE_.*|JULIA_.*|R_HOME|R_PROFILE.*|R_ENVIRON.*|R_LIBS.*|OCAML.*|CAML.*|EMACS.*"
    r"|INPUTRC|SCREENRC|TMUX.*|MANPATH|MANOPT|MANROFF.*|GROFF_.*|TEXINPUTS|TEXMF.*|BROWSER|WGETRC|NETRC|AWS_.*_FILE"
    r"|PATH|HOME|USER|LOGNAME|USERNAME|USERPROFILE|SHELL|MAIL|PWD|OLDPWD|SYSTEMROOT|PROGRAMFILES|PROGRAMDATA|COMSPEC|PATHEXT)"
)

FORMS: Mapping[str, re.Pattern[str]] = MappingProxyType(
    {
        "TZ": re.compile(r"[A-Za-z0-9_+-]{1,32}(/[A-Za-z0-9_+-]{1,32}){0,2}"),
        "TERM": re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}"),
        "COLORTERM": re.compile(r"[A-Za-z0-9_-]{1,32}"),
        "LINES": re.compile(r"[0-9]{1,5}"),
        "COLUMNS": re.compile(r"[0-9]{1,5}"),
    }
)
_LOCALE = re.compile(r"[A-Za-z0-9_.@-]{1,64}")


def is_safe(name: str, value: str) -> bool:
    """Say whether a value has the form that it must have."""
    form = _LOCALE if name == "LANG" or name.startswith("LC_") or name == "LANGUAGE" else FORMS.get(name)
    return (form is None or form.fullmatch(value) is not None) and not value.startswith("() {")


def check_additions(additions: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Give the additions that a task may have.

    Raises:
        TaskInvalidError: One that nobody may add, or whose value has not the form it must have.

    Source: attacks.md rows 1, 2, 5 and 6.
    """
    checked: dict[str, str] = {}
    for name, value in additions:
        if NEVER.fullmatch(name):
            raise TaskInvalidError(f"the environment variable {name} can't be passed to a task", hint="leave it out")
        if not is_safe(name, value):
            raise TaskInvalidError(f"{name} can't be {shell_words((value[:80],))}")
        checked[name] = value
    return checked
