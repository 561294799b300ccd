"""What is checked before training, since a fault found at step 4,000 has cost hours."""

from collections.abc import Sequence

from qtdog_tf.data import check_domains
from qtdog_tf.data.domains import DomainSet
from qtdog_tf.data.integrity import IntegrityReport
from qtdog_tf.training.roles import Roles


def check_roles(domain_set: DomainSet, roles: Sequence[Roles]) -> IntegrityReport:
    """Opens every image once, and checks the classes for each choice of sources and targets.

    Args:
        domain_set: the data.
        roles: the runs that are planned.

    Returns:
        One report with the errors of all; `raise_errors` turns them into a `UserError`.
    """
    report = check_domains(domain_set)
    for role in roles:
        names_only = check_domains(domain_set, role.sources, role.targets, open_images=False)
        report = report.with_errors(names_only.errors)
    return report
