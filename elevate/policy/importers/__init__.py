"""Rules from other systems: sudoers, AppLocker, App Control. INVARIANT: what is imported is never wider than its source.

A grant that can't be said exactly is narrowed or left out; what takes rights away and can't be said exactly is widened, or
the grants that it could reach are left out. Every line of the source is told: translated, narrowed or left out, and why. All
that is imported asks for a credential, whatever the source asked for.
"""

from elevate.policy.importers.appcontrol import import_appcontrol
from elevate.policy.importers.applocker import import_applocker
from elevate.policy.importers.common import Fate, Imported, Note
from elevate.policy.importers.sudoers import import_sudoers

__all__ = ["Fate", "Imported", "Note", "import_appcontrol", "import_applocker", "import_sudoers"]
