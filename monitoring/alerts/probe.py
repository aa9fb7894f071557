"""Alerts of the probe that logs in from outside: what is seen without any traffic."""

from __future__ import annotations

from monitoring.alerts.alert import FAILED, Alert
from monitoring.alerts.table import JOB, THRESHOLDS
from monitoring.alerts.words import bound


def alerts() -> list[Alert]:
    return [_failing(), _down()]


def _failing() -> Alert:
    hold = THRESHOLDS["ServiceProbeFailing"].hold
    return Alert(
        "ServiceProbeFailing",
        "critical",
        f'probe_success{{job="{JOB}"}} == 0',
        "The probe's check of {{ $labels.check }} fails at {{ $labels.instance }}",
        f"""For {bound(hold)} a probe from outside has failed. Check readiness: /health/ready does
        not answer 200. Check login: nobody can log in and out again. It does not need anybody's
        traffic, so that it speaks at night, too; the probe's log has the reason.""",
        "system-health",
        ("job", "instance"),
        FAILED,
    )


def _down() -> Alert:
    hold = THRESHOLDS["ProbeDown"].hold
    return Alert(
        "ProbeDown",
        "warning",
        'up{job="probe"} == 0 or absent(up{job="probe"})',
        "The probe of readiness and login is down",
        f"""No answer to its scrape for {bound(hold)}. Without traffic nobody would notice that the
        service fails.""",
        "monitoring-itself",
        (),
        stack=True,
    )
