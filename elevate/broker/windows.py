r"""Administrator protection's settings as Windows names them: in the registry, in the policy CSP, and what each value means.

All are read at the broker's start, as Windows reads them at the machine's: a change is pending until then.

Source: Microsoft Learn, Policy CSP LocalPoliciesSecurityOptions; "User Account Control settings and configuration".
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

REGISTRY_KEY = r"SOFTWARE\Microsoft\Windows\CurrentVersion\Policies\System"
CSP_ROOT = "./Device/Vendor/MSFT/Policy/Config/LocalPoliciesSecurityOptions/"
LEGACY = 1
ADMINISTRATOR_PROTECTION = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowsSetting:
    """One setting.

    Attributes:
        name: The registry value below `REGISTRY_KEY` in HKLM; a REG_DWORD.
        csp: The last part of the CSP's path.
        values: What each allowed value means.
    """

    name: str
    csp: str
    values: Mapping[int, str]
    default: int

    @property
    def csp_path(self) -> str:
        """The whole path in the policy CSP."""
        return CSP_ROOT + self.csp


SETTINGS: tuple[WindowsSetting, ...] = (
    WindowsSetting(
        name="TypeOfAdminApprovalMode",
        csp="UserAccountControl_TypeOfAdminApprovalMode",
        values=MappingProxyType({LEGACY: "legacy Admin Approval Mode", ADMINISTRATOR_PROTECTION: "Administrator protection"}),
        default=ADMINISTRATOR_PROTECTION,
    ),
    WindowsSetting(
        name="ConsentPromptBehaviorEnhancedAdmin",
        csp="UserAccountControl_BehaviorOfTheElevationPromptForAdministratorProtection",
        values=MappingProxyType({1: "credentials on the secure desktop", 2: "consent on the secure desktop"}),
        default=1,
    ),
    WindowsSetting(
        name="EnableLUA",
        csp="UserAccountControl_RunAllAdministratorsInAdminApprovalMode",
        values=MappingProxyType({0: "off: all of it is inert", 1: "on"}),
        default=1,
    ),
    WindowsSetting(
        name="ValidateAdminCodeSignatures",
        csp="UserAccountControl_OnlyElevateExecutableFilesThatAreSignedAndValidated",
        values=MappingProxyType({0: "any program may elevate", 1: "only signed programs may elevate"}),
        default=0,
    ),
)
DEFAULTS: Mapping[str, int] = MappingProxyType({one.name: one.default for one in SETTINGS})


def find(name: str) -> WindowsSetting:
    r"""Give a setting by its registry name, its CSP name, or either's whole path.

    Raises:
        ValueError: No setting has this name.
    """
    last = name.replace("\\", "/").rpartition("/")[2]
    for one in SETTINGS:
        if name in {one.name, one.csp, one.csp_path} or (last == one.name and name.lower() == registry_path(one).lower()):
            return one
    raise ValueError(f"unknown setting {name!r}; known are {', '.join(DEFAULTS)}")


def registry_path(setting: WindowsSetting) -> str:
    """Give the whole path in the registry."""
    return rf"HKLM\{REGISTRY_KEY}\{setting.name}"


def check(name: str, value: object) -> tuple[str, int]:
    """Give a setting's registry name and its value.

    Raises:
        ValueError: No such setting, or a value that it can't have.
    """
    one = find(name)
    if type(value) is not int or value not in one.values:
        raise ValueError(f"{one.name} can be {' or '.join(map(str, one.values))}")
    return one.name, value


def inert(values: Mapping[str, int]) -> str:
    """Say why Administrator protection does nothing; empty where it works."""
    if values["EnableLUA"] == 0:
        return "EnableLUA is 0: User Account Control is off, and with it all of Administrator protection"
    if values["TypeOfAdminApprovalMode"] == LEGACY:
        return "TypeOfAdminApprovalMode is 1: the legacy Admin Approval Mode"
    return ""
