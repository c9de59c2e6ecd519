"""What watches the server: probes and counters."""

from bennu.monitoring.settings import VARIABLES, MonitoringSettings

__all__ = ["VARIABLES", "MonitoringSettings"]
